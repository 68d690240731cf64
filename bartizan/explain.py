"""What a request meets: its route, each guard with its settings, and where each setting was written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bartizan.policy import Exclusion, Frequency, Guard, Model, Policy, ResolvedRoute, Thresholds, resolve
from bartizan.policy.checks import RESERVED
from bartizan.policy.formats import Format
from bartizan.policy.problems import Key
from bartizan.policy.values import write_duration, write_size
from bartizan.routing import NotCanonicalError, canonical_path, covers, match


@dataclass(frozen=True, slots=True)
class Row:
    """One setting.

    Attributes:
        part: what it belongs to: a guard with its place in the order, or `request`, `upstream`, `cors`.
        setting: its name.
        value: as it would be written in a policy.
        source: `route`, `defaults`, `upstreams` or `built-in`.
        key: where it stands in the file; None for what is built in.
    """

    part: str
    setting: str
    value: str
    source: str
    key: Key | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a request.

    Attributes:
        sentence: what happens, in one sentence.
        route: the route that takes it; None where the gateway answers by itself.
        rows: the settings, in the order in which they act.
    """

    sentence: str
    route: ResolvedRoute | None = None
    rows: tuple[Row, ...] = ()


def explain(policy: Policy, method: str, url: str) -> Answer:
    """Say what a request meets.

    Args:
        policy: the policy.
        method: as the client sends it.
        url: a whole URL, or a path (then for the public origin's host).
    """
    host, raw = _split(url, policy)
    try:
        path = canonical_path(raw)
    except NotCanonicalError as error:
        return Answer(
            f"refused with 400 (not_canonical): {error}; servers could read such a path differently"
        )
    for reserved in RESERVED:
        if path == reserved or (path.startswith(f"{reserved}/") and reserved != "/healthz"):
            return Answer(f"{reserved} is answered by the gateway itself, with no upstream and no guards")
    routes = resolve(policy)
    route, allowed = match(routes, host, path, method)
    if route is not None:
        return Answer(f"routes[{route.index}] takes it: {route.name}", route, tuple(_rows(policy, route)))
    if allowed:
        sentence = f"refused with 405 (method_not_allowed): {path} is served for {', '.join(allowed)}"
        if method == "OPTIONS" and any(covers(route, path) and route.cors for route in routes):
            sentence += "; a CORS preflight is answered by the gateway itself"
        return Answer(sentence)
    return Answer(f"refused with 404 (no_route): no route covers {path}{_nearest(routes, host, path)}")


def _split(url: str, policy: Policy) -> tuple[str, str]:
    if not re.match(r"https?://", url, re.IGNORECASE):
        host = urlsplit(policy.public_origin).hostname or ""
        return host, re.split(r"[?#]", url, maxsplit=1)[0] if url.startswith("/") else f"/{url}"
    authority, _, rest = url.partition("://")[2].partition("/")
    authority = re.split(r"[?#]", authority, maxsplit=1)[0]
    host = urlsplit(f"//{authority}").hostname or ""
    return f"[{host}]" if ":" in host else host, "/" + re.split(r"[?#]", rest, maxsplit=1)[0]


def _nearest(routes: tuple[ResolvedRoute, ...], host: str, path: str) -> str:
    """Say why a route that looks as if it should match does not."""
    for route in routes:
        if route.hosts and host not in route.hosts and covers(route, path):
            return f" for the host {host}; routes[{route.index}] covers it for {', '.join(route.hosts)}"
        if route.match == "exact" and path.startswith(f"{route.path}/"):
            return f"; routes[{route.index}] is for exactly {route.path}: a prefix would cover it"
        if route.match == "prefix" and path.startswith(route.path):
            return f"; routes[{route.index}] ends at a segment: it covers {route.path} and {route.path}/..."
    return ""


def _rows(policy: Policy, route: ResolvedRoute) -> Iterator[Row]:
    here: Key = ("routes", route.index)
    yield Row(
        "request", "body", write_size(route.body), route.body_source, _place(here, "body", route.body_source)
    )
    position = 0
    for guard in route.guards:
        position += guard.mode != "off"
        part = f"{position}. {guard.name}" if guard.mode != "off" else f"-  {guard.name}"
        field = "auth" if guard.name == "token" else guard.name
        yield from _settings(part, guard.settings, guard.source, _place(here, field, guard.source), guard)
        if guard.name == "waf":
            if policy.rules.source is None:
                yield Row("rules", "source", "those of Debian's package modsecurity-crs", "built-in", None)
            yield from _settings("rules", policy.rules, "rules", ("rules",))
    if route.auth is None:
        yield Row("-  token", "auth", "none", "route", (*here, "auth"))
    if route.cors is not None:
        yield from _settings("cors", route.cors, route.cors_source, _place(here, "cors", route.cors_source))
    upstream = policy.upstreams[route.upstream]
    yield Row("upstream", "name", route.upstream, "route", (*here, "upstream"))
    yield from _settings("upstream", upstream, "upstreams", ("upstreams", route.upstream))


def _place(here: Key, field: str, source: str) -> Key | None:
    if source == "built-in":
        return None
    return (*here, field) if source == "route" else ("defaults", field)


def _settings(
    part: str, settings: Model, source: str, key: Key | None, guard: Guard | None = None
) -> Iterator[Row]:
    names = list(type(settings).model_fields)
    if guard is not None:  # the mode first: it decides what the rest means
        names.sort(key=lambda name: name != "mode")
    for name in names:
        value = getattr(settings, name)
        written = key is not None and name in settings.model_fields_set
        if value is None or (value == () and not written):
            continue
        words = _in_its_format(value, settings, name) or _written(value)
        yield Row(part, name, words, source if written else "built-in", key if written else None)


def _in_its_format(value: Any, settings: Model, name: str) -> str | None:
    metadata = type(settings).model_fields[name].metadata
    found = next((item for item in metadata if isinstance(item, Format)), None)
    return str(found.write(value)) if isinstance(value, int | float) and found else None


def _written(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return write_duration(value)
        case tuple():
            return ", ".join(_written(item) for item in value)
        case Thresholds():
            return f"inbound {value.inbound}, outbound {value.outbound}"
        case Exclusion():
            which = f"rule {value.rule}" if value.rule is not None else f"tag {value.tag}"
            return which if value.parameter is None else f"{which} at {value.parameter}"
        case Frequency() | Path() | str() | int():
            return str(value)
        case _:
            raise AssertionError(value)
