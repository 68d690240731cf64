"""The policy file's format: what each key means, which values it takes and what stands without it."""

from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from bartizan.policy import values
from bartizan.policy.base import Method, Model
from bartizan.policy.guards import AddressLists, Concurrencies, CrossOrigin, Decision, Rate, Rates
from bartizan.policy.listeners import Listen, Tls
from bartizan.policy.services import Issuer, Upstream
from bartizan.policy.values import File, Host, Name, Proxy, RoutePath, Size

BODY: Final = 1 << 20
# The 200 a second with a burst of 100 that a route has when nobody says anything.
RATE: Final = Rate.model_validate({"limit": "200/s", "burst": 100})


class Defaults(Model):
    """What a route may set; here for all routes that don't. `off` is None in a field that was set."""

    body: Size = BODY
    rate: Rates = (RATE,)
    concurrency: Concurrencies = None
    addresses: AddressLists = None
    cors: CrossOrigin = None


class Route(Defaults):
    """One thing that is served: which requests, to whom, and what guards them."""

    path: RoutePath | None = Field(default=None, description="exactly this path")
    prefix: RoutePath | None = Field(
        default=None, description="this path and all under it, ending at a segment"
    )
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = Field(description="GET implies HEAD")
    hosts: tuple[Host, ...] = Field(default=(), description="absent: any")
    upstream: str
    auth: Decision = Field(description="none, or what the token must be")

    @model_validator(mode="after")
    def _one_path(self) -> "Route":
        if (self.path is None) == (self.prefix is None):
            raise ValueError("needs exactly one of path (this path only) and prefix (all under it)")
        return self


def _origin(value: str) -> str:
    parts = values.split_url(value)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(
            "is not an origin; write scheme, host and port only, such as https://api.example.com"
        )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + ("" if parts.port in {None, usual} else f":{parts.port}")


class Policy(Model):
    """A whole policy file."""

    listen: Listen = Listen()
    tls: Tls | None = None
    origin: Annotated[str, AfterValidator(_origin)] | None = Field(
        default=None, description="what clients call the gateway; absent: localhost at the listener's port"
    )
    trusted_proxies: tuple[Proxy, ...] = Field(
        default=(), description="whose X-Forwarded-For or PROXY header counts"
    )
    workers: Annotated[int, Field(ge=1, le=512)] | Literal["auto"] = "auto"
    acme: File | None = Field(
        default=None, description="certbot's webroot; absent: acme/ in the state folder"
    )
    issuers: dict[Name, Issuer] = Field(default_factory=dict)
    upstreams: dict[Name, Upstream] = Field(default_factory=dict)
    defaults: Defaults = Defaults()
    routes: tuple[Route, ...]

    @field_validator("workers", mode="before")
    @classmethod
    def _workers(cls, value: Any) -> Any:
        if value != "auto" and (
            not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 512
        ):
            raise ValueError(
                "is not a number of workers; write auto (one a processor) or a number from 1 to 512"
            )
        return value

    @cached_property
    def public_origin(self) -> str:
        """What clients call the gateway: `origin`, or localhost at the listener's port."""
        if self.origin is not None:
            return self.origin
        if self.listen.https is not None:
            return _origin(f"https://localhost:{self.listen.https.port}")
        return _origin(f"http://localhost:{self.listen.http.port if self.listen.http else 80}")
