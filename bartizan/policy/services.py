"""Whom the gateway talks to: issuers of tokens and upstream services."""

from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bartizan.policy import values
from bartizan.policy.base import Model
from bartizan.policy.values import Duration, File, Host

# Asymmetric ones only: with an HMAC every verifier could also sign (RFC 8725 section 3.2).
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def _issuer_text(value: str) -> str:
    if not value or any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("is not an issuer; write the exact iss of its tokens")
    return value


def _fetch_url(value: str) -> str:
    if values.split_url(value).fragment:
        raise ValueError("has a fragment (#), which is never sent; leave it out")
    return value


def _asymmetric(value: Any) -> Any:
    if isinstance(value, str) and (value.startswith("HS") or value.lower() == "none"):
        why = (
            "has no signature at all"
            if value.lower() == "none"
            else "is an HMAC: whoever can verify can also sign"
        )
        raise ValueError(f"{why}; allowed: {', '.join(get_args(Algorithm))}")
    return value


class Issuer(Model):
    """Who signs tokens, and where the public keys are."""

    issuer: Annotated[str, AfterValidator(_issuer_text)] = Field(description="compared exactly with iss")
    jwks: Annotated[str, AfterValidator(_fetch_url)] = Field(description="the URL of the JWK set")
    algorithms: Annotated[tuple[Annotated[Algorithm, BeforeValidator(_asymmetric)], ...], Field(min_length=1)]
    types: Annotated[tuple[str, ...], Field(min_length=1)] = ("at+jwt",)
    skew: Annotated[Duration, Field(ge=0, le=60)] = 5.0
    ca: File | None = Field(default=None, description="authorities for an https jwks; absent: the system's")


def _server(value: str) -> str:
    parts = values.split_url(value)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(
            "has a path; a server is scheme, host and port only: requests are forwarded under their own path"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


class Upstream(Model):
    """The servers of one service, with time-outs, passive health and keep-alive."""

    servers: Annotated[tuple[Annotated[str, AfterValidator(_server)], ...], Field(min_length=1)]
    connect_timeout: Annotated[Duration, Field(ge=0.01, le=75)] = 2.0
    send_timeout: Annotated[Duration, Field(ge=0.01, le=86400)] = 30.0
    read_timeout: Annotated[Duration, Field(ge=0.01, le=86400)] = 60.0
    max_fails: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=3, description="failures until a server rests"
    )
    fail_timeout: Annotated[Duration, Field(ge=1, le=3600)] = Field(
        default=10.0, description="counted in, and rested for"
    )
    keepalive: Annotated[int, Field(ge=1, le=10000)] = Field(
        default=32, description="idle connections a worker keeps"
    )
    ca: File | None = Field(default=None, description="authorities for https servers; absent: the system's")
    server_name: Host | None = Field(
        default=None, description="the name in the servers' certificate; absent: the host's"
    )

    @property
    def scheme(self) -> Literal["http", "https"]:
        """What all servers speak."""
        return "https" if self.servers[0].startswith("https:") else "http"

    @model_validator(mode="after")
    def _one_scheme(self) -> "Upstream":
        if len({urlsplit(server).scheme for server in self.servers}) > 1:
            raise ValueError(
                "mixes http:// and https:// servers; use one scheme for all servers of an upstream"
            )
        if self.scheme == "http" and (self.ca or self.server_name):
            raise ValueError(
                "has ca or server_name, but its servers are http://; these belong to https:// servers"
            )
        return self
