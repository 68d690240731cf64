"""The policy file's format: what each key means, which values it takes and what stands without it."""

from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from bartizan.policy import values
from bartizan.policy.base import Method, Model
from bartizan.policy.formats import Format
from bartizan.policy.guards import AddressLists, Concurrencies, CrossOrigin, Decision, Rate, Rates
from bartizan.policy.listeners import Listen, Tls
from bartizan.policy.rules import RuleEngine, Rules
from bartizan.policy.services import Issuer, Upstream
from bartizan.policy.values import File, Host, Name, Proxy, RoutePath, Size

BODY: Final = 1 << 20
# The 200 a second with a burst of 100 that a route has when nobody says anything.
RATE: Final = Rate.model_validate({"limit": "200/s", "burst": 100})


class Defaults(Model):
    """What a route may set; here for all routes that don't."""

    # `off` is None in a field that was set.
    body: Size = BODY
    """The largest request body that is taken. There is always a cap."""
    rate: Rates = Field(default=(RATE,), examples=[{"limit": "50/s", "burst": 100}])
    """How many requests may come in a time: one rate, or a list of them. A route needs at least one that is
    not off."""
    concurrency: Concurrencies = Field(default=None, examples=[{"limit": 50}])
    """How many requests may be forwarded at once: one limit, or a list of them."""
    addresses: AddressLists = Field(default=None, examples=[{"deny": ["192.0.2.0/24"]}])
    """Which addresses may come."""
    cors: CrossOrigin = Field(default=None, examples=[{"origins": ["https://app.example.com"]}])
    """Which pages of other origins may call the route."""
    waf: RuleEngine = Field(default=None, examples=[{"mode": "observe"}])
    """Whether the rule engine inspects requests, and how."""


class Route(Defaults):
    """One thing that is served: which requests, to whom, and what guards them."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["path"]}, {"required": ["prefix"]}]})

    path: RoutePath | None = Field(default=None, examples=["/oauth/token"])
    """Exactly this path. A route has either `path` or `prefix`."""
    prefix: RoutePath | None = Field(default=None, examples=["/api/users"])
    """This path and all under it; it ends at a segment: `/api/users` covers `/api/users/7`, not
    `/api/usersecret`. The longest match decides, and an exact path goes before a prefix."""
    methods: Annotated[tuple[Method, ...], Field(min_length=1, examples=["GET"])]
    """The methods that are served. GET implies HEAD. Another method of a path that is served gets 405."""
    hosts: tuple[Host, ...] = ()
    """The hosts that are served, as a request names them in Host. Absent: any. A route for a host goes before
    one for any."""
    upstream: Annotated[str, Field(examples=["data"])]
    """Where requests go: the name of one of the `upstreams`."""
    auth: Decision = Field(examples=[{"issuer": "tokendealer", "audience": "data", "scopes": ["users:read"]}])
    """The decision on authentication, which every route must make: `none` for a public route, or what a token
    must be."""

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


_ORIGIN = Format("origin", "scheme, host and port only", ("https://api.example.com",), "^https?://")


class Policy(Model):
    """A whole policy file."""

    listen: Listen = Listen()
    """Where the gateway listens."""
    tls: Tls | None = None
    """The certificate that clients see. Absent: a development certificate is made, under an authority of its
    own in `tls/ca.pem` of the state folder."""
    origin: Annotated[str, AfterValidator(_origin), _ORIGIN] | None = None
    """What clients call the gateway: redirects lead there. Absent: `https://localhost` and the port."""
    trusted_proxies: tuple[Proxy, ...] = ()
    """The addresses of your own load balancers: whose `X-Forwarded-For`, or PROXY protocol, counts. Absent:
    nobody's."""
    workers: Annotated[int, Field(ge=1, le=512, examples=[4])] | Literal["auto"] = "auto"
    """How many worker processes serve; `auto`: one a processor."""
    acme: File | None = Field(default=None, examples=["/var/lib/letsencrypt/webroot"])
    """The webroot of certbot, from which the http listener serves `/.well-known/acme-challenge/`. Absent:
    `acme/` in the state folder."""
    issuers: dict[Name, Issuer] = Field(default_factory=dict)
    """Who signs tokens, each under a name that routes use."""
    upstreams: dict[Name, Upstream] = Field(default_factory=dict)
    """The services behind the gateway, each under a name that routes use."""
    rules: Rules = Rules()
    """Which rules the rule engine runs, on the routes that have `waf`."""
    defaults: Defaults = Defaults()
    """What every route has that doesn't say otherwise."""
    routes: tuple[Route, ...]
    """What is served. All else is 404."""

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
