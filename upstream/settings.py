"""What the service is told at its start, in one typed, frozen object."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from upstream.redirects import Origin
from upstream.tokens.keyset import ALGORITHMS


def _is_http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("an http:// or https:// URL is needed")
    return text


def _are_algorithms(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := set(names) - ALGORITHMS:
        raise ValueError(f"{min(unknown)} is not one of {', '.join(sorted(ALGORITHMS))}")
    return names


class Settings(BaseModel):
    """The service's settings.

    Attributes:
        state: the folder of the database.
        jwks: where the issuer publishes the keys that verify access tokens.
        issuer: what a token's `iss` must be.
        audience: what a token's `aud` must be or contain.
        algorithms: the signature algorithms that a key may be for.
        skew: how far the issuer's clock may be off, in seconds.
        safe_redirects: where a response may redirect to, besides the service itself.
        body_limit: the longest request body that is read, in bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    state: Path = Path("var/upstream")
    jwks: Annotated[str, AfterValidator(_is_http_url)] = "http://127.0.0.1:5100/.well-known/jwks.json"
    issuer: Annotated[str, Field(min_length=1)] = "https://localhost:8443"
    audience: Annotated[str, Field(min_length=1)] = "data"
    algorithms: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_are_algorithms)] = (
        "RS512",
        "ES256",
        "EdDSA",
    )
    skew: Annotated[float, Field(ge=0, le=60)] = 5.0
    safe_redirects: frozenset[Origin] = frozenset({Origin("https", "github.com", 443)})
    body_limit: Annotated[int, Field(ge=1, le=16 * 1024 * 1024)] = 64 * 1024

    @property
    def database(self) -> Path:
        """The database file."""
        return self.state / "users.sqlite3"
