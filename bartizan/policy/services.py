"""Whom the gateway talks to: issuers of tokens and upstream services."""

from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bartizan.policy import values
from bartizan.policy.base import Model
from bartizan.policy.formats import Format
from bartizan.policy.values import Duration, File, Host, WholeSeconds

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


_URL = Format(
    "URL",
    "an http or https URL, without user, password and fragment",
    ("https://auth.example.com/.well-known/jwks.json",),
    "^https?://",
)
_SERVER = Format("server", "a URL of scheme, host and port only", ("http://127.0.0.1:5200",), "^https?://")


class Issuer(Model):
    """Who signs tokens, and where the public keys are."""

    issuer: Annotated[str, AfterValidator(_issuer_text), Field(examples=["https://auth.example.com"])]
    """What a token's `iss` must be, exactly, character by character."""
    jwks: Annotated[str, AfterValidator(_fetch_url), _URL]
    """The URL of the issuer's keys (a JWK set). They are fetched in the background, never in a request;
    redirects are not followed. While the issuer is away, the keys that are known serve on."""
    algorithms: Annotated[tuple[Annotated[Algorithm, BeforeValidator(_asymmetric)], ...], Field(min_length=1)]
    """The signature algorithms that are taken. A key is used with its own algorithm only, and that must be
    listed. There is no HMAC and no `none`."""
    types: Annotated[tuple[str, ...], Field(min_length=1, examples=["JWT"])] = ("at+jwt",)
    """What a token's `typ` may be. `at+jwt` is what RFC 9068 gives access tokens; some issuers write
    `JWT`."""
    skew: Annotated[Duration, Field(ge=0, le=60, examples=["30s"])] = 5.0
    """By how much the issuer's clock and this one may differ, for `exp`, `nbf` and `iat`."""
    ca: File | None = Field(default=None, examples=["certs/ca.pem"])
    """Certificate authorities in PEM form for an https `jwks`. Absent: the system's."""


def _server(value: str) -> str:
    parts = values.split_url(value)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(
            "has a path; a server is scheme, host and port only: requests are forwarded under their own path"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


class Upstream(Model):
    """The servers of one service, with time-outs, passive health and keep-alive."""

    servers: Annotated[tuple[Annotated[str, AfterValidator(_server), _SERVER], ...], Field(min_length=1)]
    """The servers, all http or all https. They share the load in turn. A request whose connection fails or
    times out is tried once more, on another server, unless it is a POST or PATCH that was sent. A name is
    looked up once, at the start and at a reload."""
    connect_timeout: Annotated[Duration, Field(ge=0.01, le=75, examples=["500ms"])] = 2.0
    """For how long a connection may take to be made."""
    send_timeout: Annotated[Duration, Field(ge=0.01, le=86400, examples=["1m"])] = 30.0
    """For how long a server may take nothing of a request."""
    read_timeout: Annotated[Duration, Field(ge=0.01, le=86400, examples=["5m"])] = 60.0
    """For how long a server may send nothing. It is the pause between two pieces, not the whole answer; for
    WebSockets and server-sent events make it longer than their pings are apart."""
    max_fails: Annotated[int, Field(ge=0, le=1000, examples=[5])] = 3
    """After how many failures within `fail_timeout` a server rests; 0: it never does. A single server never
    rests."""
    fail_timeout: Annotated[WholeSeconds, Field(ge=1, le=3600, examples=["30s"])] = 10.0
    """The time in which failures are counted, and for which a server then rests, in whole seconds."""
    keepalive: Annotated[int, Field(ge=1, le=10000, examples=[64])] = 32
    """How many idle connections each worker keeps, for 4 s at most."""
    ca: File | None = Field(default=None, examples=["certs/ca.pem"])
    """Certificate authorities in PEM form for https servers. Absent: the system's."""
    server_name: Host | None = Field(default=None, examples=["data.internal"])
    """The name that the servers' certificate must have, where it is not the servers' host."""

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
