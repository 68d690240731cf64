"""`bartizan explain` and the edge must agree: the same request, the same route, in Python and in Lua."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy import Policy, ResolvedRoute, resolve
from bartizan.routing import NotCanonicalError, canonical_path, match
from tests.support.lua import Lua

SEGMENTS = st.sampled_from(["a", "b", "ab", "a@b", "_"])
PATHS = st.lists(SEGMENTS, max_size=3).map(lambda parts: "/" + "/".join(parts))
ROUTES = st.lists(
    st.tuples(
        st.sampled_from(["path", "prefix"]),
        PATHS,
        st.lists(st.sampled_from(["GET", "POST", "PUT"]), min_size=1, max_size=2, unique=True),
        st.lists(st.sampled_from(["a.example", "b.example"]), max_size=2, unique=True),
    ),
    min_size=1,
    max_size=8,
)
REQUESTS = st.tuples(
    st.sampled_from(["a.example", "b.example", "c.example"]),
    st.one_of(
        PATHS,
        PATHS.map(lambda path: f"{path}/"),
        st.tuples(PATHS, PATHS).map(lambda paths: f"{paths[0]};x{paths[1]}"),
        PATHS.map(lambda path: f"{path}/;x"),
    ),
    st.sampled_from(["GET", "HEAD", "POST", "DELETE"]),
)
RAW_PATHS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "/",
                ".",
                "..",
                "a",
                "%41",
                "%2e",
                "%2F",
                "%5c",
                "%C3%A9",
                "%C3",
                "%40",
                "%20",
                "%zz",
                "%",
                ";",
                "%3b",
            ]
        ),
        st.characters(codec="ascii", exclude_characters="? #\r\n\0"),
    ),
    max_size=8,
).map(lambda parts: "/" + "".join(parts))


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua(encoding="latin-1")


def without_overlaps(routes: list[tuple[str, str, list[str], list[str]]]) -> tuple[ResolvedRoute, ...]:
    """Resolve the routes that `bartizan check` would let through together."""
    taken: set[tuple[str, str, str, str]] = set()
    kept: list[dict[str, Any]] = []
    for field, path, methods, hosts in routes:
        implied = {*methods, "HEAD"} if "GET" in methods else set(methods)
        claims = {(field, path, method, host) for method in implied for host in hosts or [""]}
        if not claims & taken:
            taken |= claims
            kept.append(
                {
                    field: path,
                    "methods": tuple(methods),
                    "hosts": tuple(hosts),
                    "upstream": "u",
                    "auth": "none",
                }
            )
    return resolve(
        Policy.model_validate({"upstreams": {"u": {"servers": ("http://a",)}}, "routes": tuple(kept)})
    )


@given(ROUTES, st.lists(REQUESTS, min_size=1, max_size=10))
def test_the_same_route_takes_a_request(
    lua: Lua, routes: list[tuple[str, str, list[str], list[str]]], requests: list[tuple[str, str, str]]
) -> None:
    resolved = without_overlaps(routes)
    module = lua.require("bartizan.router")
    table = [
        {
            "key": route.key,
            "hosts": list(route.hosts),
            "match": route.match,
            "path": route.path,
            "methods": list(route.methods),
        }
        for route in resolved
    ]
    router = module.new(lua.table(table))
    for host, path, method in requests:
        route, allowed = match(resolved, host, path, method)
        found = module.match(router, host, path, method)
        if route is not None:
            assert found["key"] == route.key
        else:
            assert found == ((None, ", ".join(allowed)) if allowed else (None, None))


@given(RAW_PATHS)
def test_the_same_paths_are_read_and_refused(lua: Lua, raw: str) -> None:
    target = lua.require("bartizan.target").parse(f"GET {raw} HTTP/1.1")
    if isinstance(target, tuple):
        assert target[:3] == (None, 400, "not_canonical")
        with pytest.raises(NotCanonicalError):
            canonical_path(raw)
    else:
        assert canonical_path(raw) == target["key"]
