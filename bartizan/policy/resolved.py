"""Routes as they act: with defaults merged in, guards in their order, and where each setting came from."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from bartizan.policy.base import Mode
from bartizan.policy.guards import Addresses, Auth, Concurrency, Cors, Rate
from bartizan.policy.models import Defaults, Policy, Route
from bartizan.policy.rules import Waf

Source = Literal["route", "defaults", "built-in"]
GuardName = Literal["addresses", "rate", "concurrency", "token", "waf"]
Settings = Addresses | Rate | Concurrency | Auth | Waf

# Cheap checks stand before dear ones; what counts by client needs the client that the token names. The rules
# come last, for they read the body: only of requests that nobody else refuses.
ORDER: Final[tuple[tuple[GuardName, bool], ...]] = (
    ("addresses", False),
    ("rate", False),
    ("concurrency", False),
    ("token", False),
    ("rate", True),
    ("concurrency", True),
    ("waf", False),
)


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard of a route.

    Attributes:
        name: which guard; `lua/bartizan/guards/NAME.lua` is it.
        settings: its model, whole. Equal settings are equal and hash alike.
        source: where the settings were written.
    """

    name: GuardName
    settings: Settings
    source: Source

    @property
    def mode(self) -> Mode:
        """Whether it refuses, only watches, or is off (then it is in no plan)."""
        return self.settings.mode


@dataclass(frozen=True, slots=True)
class ResolvedRoute:
    """One route with everything decided.

    Attributes:
        index: its place in the file, from 0.
        key: 8 hex digits that stay while hosts, path and methods stay: limiter counts are kept under it.
        name: what people and metrics call it, such as `GET /api/users/*`.
        hosts: lower-case host names; empty for any.
        match: `exact`, or `prefix`, which ends at a segment.
        path: canonical; a prefix has no slash at its end, but for the root, `/`.
        methods: with HEAD wherever GET is.
        upstream: the name of an upstream.
        auth: what the token must be; None where the route is public.
        guards: in the order in which they act, those that are off included.
        body: the body cap in bytes.
        body_source: where it was written.
        cors: with its methods filled in; None where no other origin may call.
        cors_source: where it was written.
    """

    index: int
    key: str
    name: str
    hosts: tuple[str, ...]
    match: Literal["exact", "prefix"]
    path: str
    methods: tuple[str, ...]
    upstream: str
    auth: Auth | None
    guards: tuple[Guard, ...]
    body: int
    body_source: Source
    cors: Cors | None
    cors_source: Source

    @property
    def plan(self) -> tuple[Guard, ...]:
        """The guards that act."""
        return tuple(guard for guard in self.guards if guard.mode != "off")


def resolve(policy: Policy) -> tuple[ResolvedRoute, ...]:
    """Return the routes in the order of the file."""
    taken: set[str] = set()
    return tuple(_resolve(policy, index, route, taken) for index, route in enumerate(policy.routes))


def route_path(route: Route) -> tuple[Literal["exact", "prefix"], str]:
    """Return how a route matches, and its canonical path."""
    if route.prefix is not None:
        return "prefix", route.prefix.rstrip("/") or "/"
    return "exact", str(route.path)


def route_methods(route: Route) -> tuple[str, ...]:
    """Return the methods that a route serves: RFC 9110 section 9.3.2 makes HEAD part of GET."""
    methods: dict[str, None] = {}
    for method in route.methods:
        methods[method] = None
        if method == "GET":
            methods["HEAD"] = None
    return tuple(methods)


def _resolve(policy: Policy, index: int, route: Route, taken: set[str]) -> ResolvedRoute:
    def holder(field: str) -> tuple[Defaults, Source]:
        # What a route sets takes the place of the default as a whole: no half of one limit, half of another.
        if field in route.model_fields_set:
            return route, "route"
        return policy.defaults, "defaults" if field in policy.defaults.model_fields_set else "built-in"

    match, path = route_path(route)
    methods = route_methods(route)
    body, body_source = holder("body")
    cors, cors_source = holder("cors")
    cross = cors.cors
    if cross is not None and not cross.methods:
        cross = cross.model_copy(update={"methods": route.methods})
    return ResolvedRoute(
        index=index,
        key=_key(route.hosts, match, path, methods, taken),
        name=_name(route, match, path),
        hosts=route.hosts,
        match=match,
        path=path,
        methods=methods,
        upstream=route.upstream,
        auth=route.auth,
        guards=tuple(_guards(route, holder)),
        body=body.body,
        body_source=body_source,
        cors=cross,
        cors_source=cors_source,
    )


def _guards(route: Route, holder: Callable[[str], tuple[Defaults, Source]]) -> Iterator[Guard]:
    found: dict[str, list[Guard]] = {name: [] for name, _ in ORDER}
    shared, source = holder("addresses")
    if shared.addresses is not None:
        found["addresses"].append(Guard("addresses", shared.addresses, source))
    shared, source = holder("rate")
    found["rate"] = [Guard("rate", rate, source) for rate in shared.rate or ()]
    shared, source = holder("concurrency")
    found["concurrency"] = [Guard("concurrency", limit, source) for limit in shared.concurrency or ()]
    if route.auth is not None:
        found["token"].append(Guard("token", route.auth, "route"))
    shared, source = holder("waf")
    if shared.waf is not None:
        found["waf"].append(Guard("waf", shared.waf, source))
    for name, by_client in ORDER:
        for guard in found[name]:
            if (getattr(guard.settings, "by", None) == "client") == by_client:
                yield guard


def _key(hosts: tuple[str, ...], match: str, path: str, methods: tuple[str, ...], taken: set[str]) -> str:
    """Name a route by what it is, so that limiter counts survive a reload and re-ordering."""
    identity = json.dumps([sorted(hosts), match, path, sorted(methods)])
    salt = ""
    while True:
        key = hashlib.sha256((identity + salt).encode()).hexdigest()[:8]
        if key not in taken:
            taken.add(key)
            return key
        salt += "+"  # 32 bits: among ten thousand routes one chance in a hundred that two meet


def _name(route: Route, match: str, path: str) -> str:
    under = "" if match == "exact" else "*" if path == "/" else "/*"
    return f"{','.join(route.methods)} {','.join(route.hosts)}{path}{under}"
