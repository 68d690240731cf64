"""What breaks behind the gateway is told as what it is, and tried again where that is safe."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any, Final

import httpx
import pytest

from tests.support.backend import Backend, Request, Respond, Response, takeover
from tests.support.gateway import Gateway
from tests.support.http2 import Connection, request
from tests.support.ports import free_port
from tests.support.refusals import policy, text
from tests.support.wire import port_of

# What nginx says at its level "error" of an upstream that fails.
UPSTREAMS_FAULT: Final = (
    r"upstream (prematurely closed|timed out|sent (no valid|invalid|too big))|Connection (refused|reset)"
    r"|no live upstreams"
)


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    rules = policy(backend)
    rules["upstreams"]["hasty"] = {"servers": [backend.url], "read_timeout": "500ms"}
    rules["routes"].append({"prefix": "/hasty", "methods": ["GET"], "upstream": "hasty", "auth": "none"})
    with Gateway(rules) as running:
        running.expect_error(UPSTREAMS_FAULT)
        yield running


# --- A service that fails ----------------------------------------------------------------------------------


def until_closed(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
NO_ANSWER: Final[dict[str, Response]] = {
    "closes at once": takeover(),
    "closes within its head": takeover(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "has a head of 100 KB": takeover(HEAD + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n"),
    "has a NUL in its head": takeover(HEAD + b"X-A: \0\r\nContent-Length: 0\r\n\r\n"),
}


@pytest.mark.parametrize("name", NO_ANSWER)
def test_a_service_without_a_proper_answer_is_502(
    gateway: Gateway, answers: Callable[[Respond], None], name: str
) -> None:
    answers(lambda _request: NO_ANSWER[name])
    with gateway.client() as client:
        response = client.post("/broken")
    assert response.status_code == 502
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "upstream_unavailable"
    assert "X-A" not in response.headers
    wanted = response.headers["X-Request-Id"]
    event = gateway.wait_for_audit(lambda event: event["request_id"] == wanted)
    assert (event["decision"], event["guard"], event["status"]) == ("failed", "upstream", 502)


CUT: Final[dict[str, Response]] = {
    "short of its length": takeover(HEAD + b"Content-Length: 100\r\n\r\nbeginning"),
    "without a last chunk": takeover(HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nbeginning\r\n"),
    "within a chunk": takeover(HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nbeginning"),
}
STALLED: Final[dict[str, Response]] = {
    "stalled, with a length": takeover(
        HEAD + b"Content-Length: 100\r\n\r\nbeginning", then=until_closed
    ),
    "stalled between chunks": takeover(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nbeginning\r\n", then=until_closed
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT | STALLED)
def test_an_answer_that_breaks_off_is_never_made_whole(
    gateway: Gateway, answers: Callable[[Respond], None], name: str
) -> None:
    """The client must see that something is missing: RFC 9112 section 8."""
    answers(lambda _request: (CUT | STALLED)[name])
    path = "/hasty" if name in STALLED else "/cut"
    answer = gateway.raw(text([f"GET {path} HTTP/1.1", "Host: localhost"]))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"beginning" in body
    length = re.search(rb"\r\nContent-Length: (\d+)", head)
    if length is not None:
        assert len(body) < int(length[1])
    else:
        assert b"\r\nTransfer-Encoding: chunked" in head
        assert not body.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("name", CUT | STALLED)
def test_an_answer_that_breaks_off_over_http2_is_never_made_whole(
    gateway: Gateway, answers: Callable[[Respond], None], name: str
) -> None:
    answers(lambda _request: (CUT | STALLED)[name])
    path = "/hasty" if name in STALLED else "/cut"
    with Connection(port_of(gateway), gateway.context()) as connection:
        broken = connection.exchange(request(path))
        assert (broken.status, broken.body) == (200, b"beginning")
        assert not broken.whole
        assert broken.reset is not None or connection.ended


def test_an_answer_without_a_length_ends_with_its_connection(
    gateway: Gateway, answers: Callable[[Respond], None]
) -> None:
    """HTTP/1.0 had no other end: what came is all there is to know."""
    answers(lambda _request: takeover(b"HTTP/1.0 200 OK\r\n\r\nall of it"))
    with gateway.client() as client:
        assert client.get("/old").text == "all of it"


def test_slow_is_504(gateway: Gateway, answers: Callable[[Respond], None]) -> None:
    answers(lambda _request: takeover(then=until_closed))
    with gateway.client() as client:
        response = client.get("/hasty")
    assert response.status_code == 504
    assert response.json()["code"] == "upstream_timeout"


# --- A second try ------------------------------------------------------------------------------------------


def servers(*urls: str) -> dict[str, Any]:
    """Return a policy with several servers, none of which is taken out for failing."""
    return {
        "upstreams": {"data": {"servers": list(urls), "max_fails": 1000}},
        "defaults": {"rate": {"limit": "100000/s", "burst": 100000}},
        "routes": [
            {
                "prefix": "/",
                "methods": ["GET", "POST", "PUT", "DELETE", "PATCH"],
                "upstream": "data",
                "auth": "none",
            }
        ],
    }


def seen_by(*backends: Backend) -> list[Request]:
    return [seen for backend in backends for seen in backend.requests]


@pytest.fixture(scope="module")
def failing() -> Iterator[Backend]:
    """A server that takes a request and closes without an answer."""
    with Backend(lambda _request: takeover()) as running:
        yield running


@pytest.fixture(scope="module")
def mixed(failing: Backend, backend: Backend) -> Iterator[Gateway]:
    with Gateway(servers(failing.url, backend.url)) as running:
        running.expect_error(UPSTREAMS_FAULT)
        yield running


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_what_may_be_repeated_is_tried_once_more_elsewhere(
    mixed: Gateway, failing: Backend, backend: Backend, method: str
) -> None:
    before = len(failing.requests), len(backend.requests)
    with mixed.client() as client:
        for number in range(10):
            assert client.request(method, f"/repeated/{number}").status_code == 200
    # Every request reached the good server, and those that the other had first reached it once.
    assert [seen.target for seen in backend.requests[before[1] :]] == [f"/repeated/{n}" for n in range(10)]
    tried = [seen.target for seen in failing.requests[before[0] :]]
    assert tried
    assert len(set(tried)) == len(tried)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_may_not_be_repeated_is_tried_once(
    mixed: Gateway, failing: Backend, backend: Backend, method: str
) -> None:
    before = len(failing.requests), len(backend.requests)
    with mixed.client() as client:
        statuses = [client.request(method, f"/once/{n}", content=b"x").status_code for n in range(10)]
    assert set(statuses) == {200, 502}
    assert len(backend.requests) - before[1] == statuses.count(200)
    assert len(failing.requests) - before[0] == statuses.count(502)


def test_a_server_that_is_away_costs_no_request(backend: Backend) -> None:
    """Nothing was sent to it, so that a POST may go elsewhere, too."""
    before = len(backend.requests)
    with Gateway(servers(f"http://127.0.0.1:{free_port()}", backend.url)) as gateway:
        gateway.expect_error("Connection refused")
        with gateway.client() as client:
            for number in range(10):
                method = ("GET", "POST")[number % 2]
                assert client.request(method, f"/away/{number}").status_code == 200
    assert len(backend.requests) == before + 10


def test_no_more_than_two_servers_are_tried() -> None:
    with ExitStack() as stack:
        backends = [stack.enter_context(Backend(lambda _request: takeover())) for _ in range(4)]
        with Gateway(servers(*[backend.url for backend in backends])) as gateway:
            gateway.expect_error(UPSTREAMS_FAULT)
            with gateway.client() as client:
                for number in range(8):
                    assert client.get(f"/all/{number}").status_code == 502
        times = [[seen.target for seen in seen_by(*backends)].count(f"/all/{n}") for n in range(8)]
        assert times == [2] * 8


def test_a_broken_off_answer_is_not_tried_again(backend: Backend) -> None:
    """The client has its beginning already."""
    before = len(backend.requests)
    with (
        Backend(lambda _request: CUT["short of its length"]) as cutting,
        Gateway(servers(cutting.url, backend.url)) as gateway,
    ):
        gateway.expect_error(UPSTREAMS_FAULT)
        with gateway.client() as client:
            outcomes = []
            for number in range(10):
                try:
                    outcomes.append(client.get(f"/off/{number}").text)
                except httpx.RemoteProtocolError:
                    outcomes.append("broken off")
    assert set(outcomes) == {"ok\n", "broken off"}
    assert len(backend.requests) - before == outcomes.count("ok\n")
    assert len(cutting.requests) == outcomes.count("broken off")


def test_kept_connections_that_the_service_closes_cost_no_request() -> None:
    """A service may close an idle connection whenever it likes; nginx notices, or tries anew."""

    def respond(_: Request) -> Response:
        # Looks kept, and is closed behind the answer.
        return takeover(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nok\n")

    with Backend(respond) as closing_backend, Gateway(servers(closing_backend.url)) as gateway:
        gateway.expect_error(UPSTREAMS_FAULT)
        with closing(gateway.client()) as client:
            assert [client.get(f"/kept/{n}").status_code for n in range(50)] == [200] * 50
    assert len(closing_backend.requests) <= 100
