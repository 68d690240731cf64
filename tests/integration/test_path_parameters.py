"""`;parameters` in a path: some services take them away before they resolve it, others take them for names.

Whoever is right, the guards of the route that is meant must have judged the request.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.backend import Backend
from tests.support.gateway import Gateway
from tests.support.raw import status_of


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    def route(**settings: Any) -> dict[str, Any]:
        return {"methods": ["GET"], "upstream": "data", "auth": "none", **settings}

    nobody = {"deny": ["0.0.0.0/0", "::/0"]}
    policy = {
        "upstreams": {"data": {"servers": [backend.url]}},
        "routes": [
            route(prefix="/"),
            route(prefix="/api"),
            route(prefix="/admin", addresses=nobody),
            route(path="/exact", addresses=nobody),
        ],
    }
    with Gateway(policy) as running:
        yield running


def ask(gateway: Gateway, backend: Backend, target: str) -> tuple[int, list[str]]:
    backend.forget()
    raw = gateway.raw(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return status_of(raw), [request.target for request in backend.requests]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/admin", 403),
        ("/admin/x;a=1", 403),
        ("/admin/;a=1", 403),
        ("/exact", 403),
        # Two routes, by two readings: none.
        ("/admin;a=1", 404),
        ("/admin;a=1/x", 404),
        ("/admin%3ba=1/x", 404),
        ("/admin;", 404),
        ("/api;v=2/x", 404),
        ("/exact;jsessionid=1", 404),
        # A climb, or an empty segment, where parameters are taken away.
        ("/api/..;/admin", 400),
        ("/api/..;a=1/admin", 400),
        ("/api/%2e%2e;/admin", 400),
        ("/api/..%3b/admin", 400),
        ("/..;/admin", 400),
        ("/.;/admin", 400),
        ("/;/admin", 400),
        ("/;a=1/admin", 400),
        ("/api/..;", 400),
    ],
)
def test_no_reading_comes_past_the_guards(
    gateway: Gateway, backend: Backend, target: str, status: int
) -> None:
    assert ask(gateway, backend, target) == (status, [])


@pytest.mark.parametrize(
    "target",
    [
        "/;jsessionid=1",
        "/a;b=1/c;d=2",
        "/api/x;y",
        "/a..;b",
        "/...;b",
        "/a;/b",
        "/a?b=/..;/admin",
    ],
)
def test_ordinary_parameters_pass_as_they_are(gateway: Gateway, backend: Backend, target: str) -> None:
    assert ask(gateway, backend, target) == (200, [target])
