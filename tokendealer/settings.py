"""The settings of a running token service, checked once at start."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tokendealer.problems import PersonError

Algorithm = Literal["RS512", "ES256", "EdDSA"]
LogFormat = Literal["readable", "json"]

DEFAULT_STATE = Path("var/tokendealer")
DEFAULT_ISSUER = "https://localhost:8443"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5100
DEFAULT_ALGORITHM: Algorithm = "RS512"

TOKEN_LIFETIME = 3600
"""How long an access token is good for, in seconds."""


class Settings(BaseModel):
    """What `tokendealer serve` runs with; the command's options and ``TOKENDEALER_*`` variables fill it.

    Attributes:
        state: The folder of the database, the signing keys and the pepper.
        issuer: The `iss` of every token, and the origin that the metadata's URLs start with.
        algorithm: Which of the keys in the state folder signs.
        host: The address to listen on.
        port: The TCP port to listen on; 0 takes a free one.
        log: One JSON object a line, or lines for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Path = DEFAULT_STATE
    issuer: str = DEFAULT_ISSUER
    algorithm: Algorithm = DEFAULT_ALGORITHM
    host: str = Field(default=DEFAULT_HOST, min_length=1)
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    log: LogFormat = "readable"

    @field_validator("issuer")
    @classmethod
    def _issuer_is_an_origin(cls, issuer: str) -> str:
        # RFC 8414 section 2: an https URL without query and fragment. Verifiers compare it byte by byte, and
        # the service answers at the root of its host: a path or a final slash is always a mistake.
        try:
            parts = urlsplit(issuer)
            origin = f"{parts.scheme}://{parts.netloc}"
            plain = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
            good = (
                plain and issuer == origin and parts.hostname and "@" not in parts.netloc and parts.port != 0
            )
        except ValueError:
            good = False
        if not good:
            raise ValueError(
                f"the issuer {issuer!r} is not an https origin such as {DEFAULT_ISSUER} "
                "(no path, no final slash; http only for a loopback host)"
            )
        return issuer


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def make_settings(**values: object) -> Settings:
    """Check the settings.

    Raises:
        PersonError: A value is wrong; the sentence says which and what is allowed.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        where = ".".join(str(part) for part in first["loc"])
        sentence = message if where in message else f"{where}: {message}"
        raise PersonError(sentence) from error
