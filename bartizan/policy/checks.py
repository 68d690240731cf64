"""What makes a policy unsafe or contradictory although each of its values is well formed."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from bartizan.policy.guards import Concurrency, Rate
from bartizan.policy.messages import did_you_mean
from bartizan.policy.models import Policy
from bartizan.policy.problems import Finding
from bartizan.policy.resolved import ResolvedRoute, resolve

RESERVED: Final = ("/healthz", "/.well-known/acme-challenge")
LONGEST_DELAY: Final = 60.0


@dataclass(frozen=True, slots=True)
class Given:
    """What a file names, what is wrong in itself included: that was said already, and is not said twice."""

    issuers: frozenset[str]
    upstreams: frozenset[str]
    no_routes: bool


def unsafe(policy: Policy, given: Given) -> Iterator[Finding]:
    """Yield what keeps a policy from being served."""
    yield from _listeners(policy)
    yield from _proxies(policy)
    yield from _services(policy)
    if given.no_routes:
        yield Finding(
            ("routes",), "is empty; without routes every request is refused: list what is to be served"
        )
    routes = resolve(policy)
    for route in routes:
        for check in _ROUTE_CHECKS:
            yield from check(route)
        yield from _references(route, given)
    yield from _overlaps(routes)


def doubtful(policy: Policy) -> Iterator[Finding]:
    """Yield what an operator may mean for a while, but should not forget."""
    used = {route.auth.issuer for route in policy.routes if route.auth is not None}
    for name, issuer in policy.issuers.items():
        if name not in used:
            yield Finding(("issuers", name), "no route takes its tokens, so its keys are not fetched")
        parts = urlsplit(issuer.jwks)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            yield Finding(
                ("issuers", name, "jwks"),
                "keys come over http from another machine: whoever is on the way can sign tokens; use https",
            )
    for route in resolve(policy):
        if route.auth is not None and route.auth.mode == "observe":
            yield Finding(
                ("routes", route.index, "auth"),
                "mode is observe: requests without a good token are let through",
            )
        if all(guard.mode == "observe" for guard in route.plan if guard.name == "rate"):
            yield Finding(
                ("routes", route.index),
                "its rate is only observed: requests over the limit are let through",
            )
    inspected = any(guard.name == "waf" for route in resolve(policy) for guard in route.plan)
    if policy.rules.model_fields_set and not inspected:
        yield Finding(
            ("rules",), "no route has waf, so they are not used; write waf: {} in defaults or a route"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_address(host: str) -> bool:
    # nginx compares names only (X509_check_host), so an address would never be found in a certificate.
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _listeners(policy: Policy) -> Iterator[Finding]:
    listen = policy.listen
    if listen.https is None and listen.http is None:
        yield Finding(("listen",), "https and http are both off; one of them must listen")
    if listen.https is None and listen.http is not None and listen.http.redirect:
        yield Finding(
            ("listen", "http"),
            "redirects to https, which is off; write http: {port: 8080, redirect: false}",
        )
    if listen.https is None and policy.tls is not None:
        yield Finding(("tls",), "is given, but listen.https is off; leave one of the two out")
    if listen.https is not None and "redirect" in listen.https.model_fields_set:
        yield Finding(("listen", "https", "redirect"), "belongs to http; https has nothing to redirect to")
    ports: dict[int, str] = {}
    for name in ("https", "http", "operator"):
        listener = getattr(listen, name)
        if listener is None:
            continue
        if listener.port in ports:
            yield Finding(
                ("listen", name),
                f"port {listener.port} is taken by listen.{ports[listener.port]}; give each its own",
            )
        ports.setdefault(listener.port, name)
    if len(set(listen.addresses)) < len(listen.addresses):
        yield Finding(("listen", "addresses"), "names an address twice")


def _proxies(policy: Policy) -> Iterator[Finding]:
    for name in ("https", "http"):
        listener = getattr(policy.listen, name)
        if listener is not None and listener.proxy_protocol and not policy.trusted_proxies:
            yield Finding(
                ("listen", name, "proxy_protocol"),
                "is on, but trusted_proxies is empty, so no header would count; name the balancers there",
            )


def _services(policy: Policy) -> Iterator[Finding]:
    for name, issuer in policy.issuers.items():
        if issuer.ca is not None and issuer.jwks.startswith("http:"):
            yield Finding(
                ("issuers", name, "ca"),
                "belongs to an https jwks, but this one is http; leave ca out or use https",
            )
        parts = urlsplit(issuer.jwks)
        if parts.scheme == "https" and _is_address(parts.hostname or ""):
            yield Finding(
                ("issuers", name, "jwks"),
                f"nginx can't verify a certificate for the address {parts.hostname}; write the issuer's name",
            )
    for name, upstream in policy.upstreams.items():
        if upstream.scheme == "http" or upstream.server_name is not None:
            continue
        hosts = sorted({urlsplit(server).hostname or "" for server in upstream.servers})
        remedy = "set server_name to the name in the servers' certificate"
        if len(hosts) > 1:
            yield Finding(
                ("upstreams", name, "servers"),
                f"https servers of several names ({', '.join(hosts)}); {remedy}",
            )
        elif _is_address(hosts[0]):
            yield Finding(
                ("upstreams", name, "servers"),
                f"nginx can't verify a certificate for the address {hosts[0]}; {remedy}",
            )


def _references(route: ResolvedRoute, given: Given) -> Iterator[Finding]:
    here = ("routes", route.index)
    if route.upstream not in given.upstreams:
        yield Finding((*here, "upstream"), _undefined("upstream", route.upstream, given.upstreams))
    if route.auth is not None and route.auth.issuer not in given.issuers:
        yield Finding((*here, "auth", "issuer"), _undefined("issuer", route.auth.issuer, given.issuers))


def _undefined(kind: str, name: str, known: frozenset[str]) -> str:
    defined = ", ".join(sorted(known)) or f"none; add {kind}s: {{{name}: ...}}"
    return f"{kind} {name!r} is not defined{did_you_mean(name, sorted(known))} (defined: {defined})"


def _reserved(route: ResolvedRoute) -> Iterator[Finding]:
    field = "path" if route.match == "exact" else "prefix"
    for reserved in RESERVED:
        if route.path == reserved or route.path.startswith(f"{reserved}/"):
            yield Finding(
                ("routes", route.index, field),
                f"{reserved} is answered by the gateway itself; choose another path",
            )


def _limited(route: ResolvedRoute) -> Iterator[Finding]:
    if all(guard.mode == "off" for guard in route.guards if guard.name == "rate"):
        yield Finding(
            ("routes", route.index, "rate"),
            "has no limit: every rate that applies is off; give it one, or mode: observe to watch first",
        )


def _authenticated(route: ResolvedRoute) -> Iterator[Finding]:
    if route.auth is not None and route.auth.mode == "off":
        yield Finding(
            ("routes", route.index, "auth", "mode"),
            "off would let everyone in; write auth: none for a public route, or mode: observe to watch",
        )


def _by_client(route: ResolvedRoute) -> Iterator[Finding]:
    for guard in route.plan:
        if route.auth is None and getattr(guard.settings, "by", None) == "client":
            where = "" if guard.source == "route" else " (in defaults)"
            yield Finding(
                ("routes", route.index, guard.name),
                f"counts by client{where}, but auth: none knows no client; count by address or header:NAME",
            )


def _same_twice(route: ResolvedRoute) -> Iterator[Finding]:
    seen: set[tuple[object, ...]] = set()
    for guard in route.plan:
        match guard.settings:
            case Rate(limit=limit, by=by):
                identity: tuple[object, ...] = ("rate", by, limit.period)
                text = f"two rates count by {by} over the same period; keep the lower one"
            case Concurrency(by=by):
                identity = ("concurrency", by)
                text = f"two limits count by {by}; keep the lower one"
            case _:
                continue
        if identity in seen:
            yield Finding(("routes", route.index, guard.name), text)
        seen.add(identity)


def _delays(route: ResolvedRoute) -> Iterator[Finding]:
    for guard in route.plan:
        if isinstance(guard.settings, Rate) and guard.settings.excess == "delay":
            limit = guard.settings.limit
            longest = guard.settings.burst * limit.period / limit.count
            if longest > LONGEST_DELAY:
                yield Finding(
                    ("routes", route.index, "rate"),
                    f"a burst of {guard.settings.burst} at {limit} would delay requests by {longest:.0f} s;"
                    f" the longest delay is {LONGEST_DELAY:.0f} s: lower the burst, or refuse the excess",
                )


def _cors_methods(route: ResolvedRoute) -> Iterator[Finding]:
    extra = sorted(set(route.cors.methods) - set(route.methods)) if route.cors else []
    if extra and route.cors_source == "route":
        yield Finding(
            ("routes", route.index, "cors", "methods"),
            f"allows {', '.join(extra)}, but the route serves {', '.join(route.methods)} only",
        )


_ROUTE_CHECKS: Final[tuple[Callable[[ResolvedRoute], Iterator[Finding]], ...]] = (
    _reserved,
    _limited,
    _authenticated,
    _by_client,
    _same_twice,
    _delays,
    _cors_methods,
)


def _overlaps(routes: tuple[ResolvedRoute, ...]) -> Iterator[Finding]:
    """Yield each route that an earlier one leaves in doubt: same match, path, method and host."""
    claims: Mapping[tuple[str, str, str], list[ResolvedRoute]] = defaultdict(list)
    for route in routes:
        doubted: dict[int, list[str]] = defaultdict(list)
        for method in route.methods:
            rivals = claims[route.match, route.path, method]
            for rival in rivals:
                # A route for a host goes before one for any: these two don't meet.
                if set(rival.hosts) & set(route.hosts) or not (rival.hosts or route.hosts):
                    doubted[rival.index].append(method)
            rivals.append(route)
        for index, methods in doubted.items():
            implied = " (GET implies HEAD)" if methods == ["HEAD"] else ""
            what = f"{', '.join(methods)} {route.path}{implied}"
            yield Finding(
                ("routes", route.index),
                f"overlaps with {{other}}: both serve {what}; change path, methods or hosts of one",
                other=("routes", index),
            )
