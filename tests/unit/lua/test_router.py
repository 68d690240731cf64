"""lua/bartizan/router.lua: the most specific path decides, then the method."""

import time
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

Route = dict[str, Any]


def route(match: str, path: str, *methods: str, hosts: tuple[str, ...] = ()) -> Route:
    label = f"{match} {','.join(hosts)}{path} {','.join(methods)}"
    return {"match": match, "path": path, "methods": list(methods), "hosts": list(hosts), "label": label}


class Router:
    def __init__(self, routes: list[Route]) -> None:
        self.lua = Lua()
        self.module = self.lua.require("bartizan.router")
        self.router = self.module.new(self.lua.table(routes))

    def find(self, path: str, method: str = "GET", host: str = "a.example") -> tuple[str | None, str | None]:
        """Return the label of the route, and Allow where there is none."""
        found = self.module.match(self.router, host, path, method)
        if isinstance(found, tuple):
            return None, found[1]
        return (found.label if found is not None else None), None


ROUTES: Final = [
    route("exact", "/", "GET"),
    route("exact", "/api/users", "PUT"),
    route("prefix", "/api/users", "GET", "HEAD"),
    route("prefix", "/api/users", "POST"),
    route("prefix", "/api", "GET"),
    route("exact", "/api/users/me", "GET"),
    route("prefix", "/api/users/7/files", "GET"),
    route("prefix", "/only", "GET", hosts=("b.example",)),
    route("exact", "/api/users/me", "DELETE", hosts=("b.example", "c.example")),
]

CASES: Final = [
    ("/", "GET", "a.example", "exact / GET"),
    ("/other", "GET", "a.example", None),
    ("/api", "GET", "a.example", "prefix /api GET"),
    ("/api/", "GET", "a.example", "prefix /api GET"),
    ("/apix", "GET", "a.example", None),
    ("/api/x/y", "GET", "a.example", "prefix /api GET"),
    ("/api/users/", "GET", "a.example", "prefix /api/users GET,HEAD"),
    ("/api/users/7", "HEAD", "a.example", "prefix /api/users GET,HEAD"),
    ("/api/users/7", "POST", "a.example", "prefix /api/users POST"),
    ("/api/usersecret", "GET", "a.example", "prefix /api GET"),
    ("/api/users/7/files", "GET", "a.example", "prefix /api/users/7/files GET"),
    ("/api/users/7/file", "GET", "a.example", "prefix /api/users GET,HEAD"),
    ("/api/users/8/files", "GET", "a.example", "prefix /api/users GET,HEAD"),
    ("/api/users", "PUT", "a.example", "exact /api/users PUT"),
    ("/api/users/me", "GET", "a.example", "exact /api/users/me GET"),
    ("/api/users/me/", "GET", "a.example", "prefix /api/users GET,HEAD"),
    ("/only", "GET", "a.example", None),
    ("/only/x", "GET", "b.example", "prefix b.example/only GET"),
    ("/api", "GET", "b.example", "prefix /api GET"),
    ("/api/users/me", "DELETE", "c.example", "exact b.example,c.example/api/users/me DELETE"),
]


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(ROUTES)


@pytest.mark.parametrize(("path", "method", "host", "label"), CASES)
def test_match(router: Router, path: str, method: str, host: str, label: str | None) -> None:
    assert router.find(path, method, host) == (label, None)


@pytest.mark.parametrize(
    ("path", "method", "host", "allow"),
    [
        # An exact path decides alone, although the prefix would take the method.
        ("/api/users", "GET", "a.example", "PUT"),
        # Routes of one prefix share it: their methods are told together.
        ("/api/users/7", "DELETE", "a.example", "GET, HEAD, POST"),
        # No request falls through to a broader route, which may be guarded less.
        ("/api/users/7/files", "POST", "a.example", "GET"),
        # A route of the host decides, although a route of any host would take the method.
        ("/api/users/me", "GET", "b.example", "DELETE"),
    ],
)
def test_a_known_path_with_another_method(
    router: Router, path: str, method: str, host: str, allow: str
) -> None:
    assert router.find(path, method, host) == (None, allow)


def test_two_routes_for_the_same_request_are_an_error() -> None:
    with pytest.raises(Exception, match=r"two routes for GET /a"):
        Router([route("prefix", "/a", "GET"), route("prefix", "/a", "POST", "GET")])


SEGMENT: Final = st.sampled_from(["a", "b", "ab", ""])
PATH: Final = st.lists(SEGMENT, max_size=4).map(lambda parts: "/" + "/".join(parts))
HOSTS: Final = ("a.example", "b.example")
METHODS: Final = ("GET", "POST", "PUT")


def covers(candidate: Route, path: str) -> bool:
    if candidate["match"] == "exact":
        return bool(path == candidate["path"])
    prefix = candidate["path"]
    return prefix in ("/", path) or path.startswith(prefix + "/")


def naive(routes: list[Route], path: str, method: str, host: str) -> tuple[str | None, str | None]:
    """Say the same by trying every route."""
    for here in ([r for r in routes if host in r["hosts"]], [r for r in routes if not r["hosts"]]):
        fitting = [r for r in here if covers(r, path)]
        if fitting:
            best = max((r["match"] == "exact", len(r["path"])) for r in fitting)
            closest = [r for r in fitting if (r["match"] == "exact", len(r["path"])) == best]
            for candidate in closest:
                if method in candidate["methods"]:
                    return candidate["label"], None
            return None, ", ".join(sorted({m for r in closest for m in r["methods"]}))
    return None, None


@given(
    st.lists(
        st.builds(
            lambda match, path, method, hosts: route(
                match, path if match == "exact" else path.rstrip("/") or "/", method, hosts=hosts
            ),
            st.sampled_from(["exact", "prefix"]),
            PATH.filter(lambda path: "//" not in path),
            st.sampled_from(METHODS),
            st.sampled_from([(), ("a.example",), HOSTS]),
        ),
        max_size=12,
        unique_by=lambda r: (r["match"], r["path"], r["methods"][0], bool(r["hosts"])),
    ),
    st.lists(st.tuples(PATH, st.sampled_from(METHODS), st.sampled_from((*HOSTS, "c.example"))), max_size=20),
)
def test_as_trying_every_route_would(routes: list[Route], asked: list[tuple[str, str, str]]) -> None:
    router = Router(routes)
    for path, method, host in asked:
        assert router.find(path, method, host) == naive(routes, path, method, host), (path, method, host)


def test_ten_thousand_routes_cost_what_ten_cost() -> None:
    # Counted in steps of the interpreter, which no busy machine can change.
    def steps(count: int, path: str) -> int:
        router = Router([route("prefix", f"/api/{number}/x", "GET") for number in range(count)])
        run = router.lua.execute(
            """
            local match, router, path = ...
            return function()
                require("jit").off()
                local steps = 0
                debug.sethook(function() steps = steps + 1 end, "", 1)
                match(router, "a.example", path, "GET")
                debug.sethook()
                return steps
            end
            """,
            router.module.match,
            router.router,
            path,
        )
        return int(run())

    for path in ("/api/5/x/y", "/api/nobody", "/"):
        assert steps(10_000, path) == steps(10, path)
    # Nor does a long path cost more than the deepest route.
    assert steps(10, "/api/5/x/y/z") == steps(10, "/api/5/x/y" + "/z" * 7000)


def test_a_large_router_is_built_quickly() -> None:
    started = time.monotonic()
    router = Router(
        [route("prefix", f"/tenant{number % 100}/service{number}", "GET") for number in range(10_000)]
    )
    assert router.find("/tenant7/service4207/x") == ("prefix /tenant7/service4207 GET", None)
    # Twenty times what it takes: quadratic behaviour would show, a busy machine would not.
    assert time.monotonic() - started < 20
