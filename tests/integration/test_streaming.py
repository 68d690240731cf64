"""Answers and bodies flow through as they come, and what breaks behind the gateway is told as what it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any, Final

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from bartizan.layout import work_folder
from tests.support.backend import Backend, Request, Respond, Response
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection, request
from tests.support.memory import private_bytes
from tests.support.ports import free_port
from tests.support.refusals import policy, text
from tests.support.wire import BOTH_VERSIONS, HTTP2, port_of

MEGABYTE: Final = 1_000_000
PIECE: Final = os.urandom(MEGABYTE)
EVENTS: Final = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"))
# What nginx says at its level "error" of an upstream that fails.
UPSTREAMS_FAULT: Final = (
    r"upstream (prematurely closed|timed out|sent (no valid|invalid|too big))|Connection (refused|reset)"
    r"|no live upstreams"
)


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


@pytest.fixture
def answers(backend: Backend) -> Iterator[Callable[[Respond], None]]:
    """Let the backend answer as a test wants, for the time of the test."""
    usual = backend.respond

    def set_respond(respond: Respond) -> None:
        backend.respond = respond

    yield set_respond
    backend.respond = usual


@pytest.fixture(scope="module")
def sockets() -> Iterator[Server]:
    """A WebSocket service: greets, then sends back what it is sent until it is asked to close."""

    def talk(connection: ServerConnection) -> None:
        assert connection.request is not None
        connection.send(f"hello from {connection.request.path}")
        for message in connection:
            if message == "close":
                connection.close(4001, "as you asked")
            else:
                connection.send(message)

    with serve(talk, "127.0.0.1", free_port(), max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def gateway(backend: Backend, sockets: Server) -> Iterator[Gateway]:
    rules = policy(backend, body="256MiB")
    rules["upstreams"]["data"]["read_timeout"] = "30s"
    rules["upstreams"]["hasty"] = {"servers": [backend.url], "read_timeout": "500ms"}
    port = sockets.socket.getsockname()[1]
    rules["upstreams"]["sockets"] = {"servers": [f"http://127.0.0.1:{port}"]}
    common = {"methods": ["GET"], "auth": "none"}
    rules["routes"] += [
        {"prefix": "/hasty", "upstream": "hasty", **common},
        {"prefix": "/ws", "upstream": "sockets", **common},
        {"prefix": "/ws/denied", "upstream": "sockets", "addresses": {"deny": ["127.0.0.1"]}, **common},
    ]
    with Gateway(rules) as running:
        running.expect_error(UPSTREAMS_FAULT)
        yield running


# --- Server-sent events ------------------------------------------------------------------------------------


class Steps:
    """What has been read by the client; the service goes on only then."""

    def __init__(self) -> None:
        self._read: list[threading.Event] = [threading.Event() for _ in range(6)]

    def read(self, step: int) -> None:
        self._read[step].set()

    def await_read(self, step: int) -> None:
        assert self._read[step].wait(30), f"step {step} was not seen by the client: something holds it back"


@BOTH_VERSIONS
def test_each_event_arrives_before_the_next_is_sent(
    gateway: Gateway, answers: Callable[[Respond], None], version: str
) -> None:
    steps = Steps()
    went_wrong: list[BaseException] = []

    def events() -> Iterator[bytes]:
        try:
            for step in range(5):
                steps.await_read(step)  # the head is step 0
                yield b"data: %d\n\n" % (step + 1)
            steps.await_read(5)
        except BaseException as error:
            went_wrong.append(error)
            raise

    answers(lambda _request: Response(200, EVENTS, events()))
    path = f"/events/{version}"
    if version == HTTP2:
        # Known limit: nginx keeps the head of an HTTP/2 answer in its TLS buffer until the body begins.
        steps.read(0)
    with (
        gateway.client(http2=version == HTTP2, timeout=60) as client,
        client.stream("GET", path) as response,
    ):
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert "Content-Length" not in response.headers
        chunks = response.iter_raw()
        for step in range(5):
            steps.read(step)
            received = b""
            while not received.endswith(b"\n\n"):
                received += next(chunks)
            assert received == b"data: %d\n\n" % (step + 1)
        assert not any(line["path"] == path for line in gateway.access()), "logged before its end"
        steps.read(5)
        assert b"".join(chunks) == b""
    assert went_wrong == []
    line = gateway.wait_for_access(lambda line: line["path"] == path)
    assert (line["status"], line["verdict"], line["upstream_status"]) == (200, "passed", "200")


@BOTH_VERSIONS
def test_a_client_that_leaves_ends_the_stream(
    gateway: Gateway, answers: Callable[[Respond], None], version: str
) -> None:
    left = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"data: tick\n\n"
        finally:
            left.set()  # the gateway has dropped the connection to the service

    answers(lambda _request: Response(200, EVENTS, endless()))
    path = f"/endless/{version}"
    with gateway.client(http2=version == HTTP2) as client, client.stream("GET", path) as response:
        assert next(response.iter_raw())
    assert left.wait(30)
    line = gateway.wait_for_access(lambda line: line["path"] == path)
    assert line["status"] in {200, 499}
    assert line["verdict"] == "passed"


# --- WebSockets --------------------------------------------------------------------------------------------


def dial(gateway: Gateway, path: str) -> ClientConnection:
    url = f"wss://localhost:{port_of(gateway)}{path}"
    connection: ClientConnection = connect(
        url, ssl=gateway.context(), proxy=None, max_size=None, compression=None
    )
    return connection


def test_a_websocket_passes_both_ways_and_is_logged_at_its_end(gateway: Gateway) -> None:
    with dial(gateway, "/ws/echo?a=b") as connection:
        assert connection.response is not None
        assert connection.response.headers["Strict-Transport-Security"]
        assert connection.recv(30) == "hello from /ws/echo?a=b", "the service may speak first"
        for message in ("", "text", "€ 🏰", b"", PIECE):
            connection.send(message)
            assert connection.recv(30) == message
        assert connection.ping().wait(30)
        assert not any(line["path"] == "/ws/echo?a=b" for line in gateway.access()), "logged before its end"
        connection.send("close")
        with pytest.raises(ConnectionClosedError) as closed:
            connection.recv(30)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as you asked")
    line = gateway.wait_for_access(lambda line: line["path"] == "/ws/echo?a=b")
    assert (line["status"], line["verdict"], line["upstream_status"]) == (101, "passed", "101")
    assert line["bytes_out"] > 1_000_000


def test_a_client_closes_a_websocket(gateway: Gateway) -> None:
    with dial(gateway, "/ws/closed") as connection:
        connection.recv(30)
        connection.close(1000)
        with pytest.raises(ConnectionClosedOK):
            connection.recv(30)
    gateway.wait_for_access(lambda line: line["path"] == "/ws/closed" and line["status"] == 101)


def test_many_websockets_at_once(gateway: Gateway) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(dial(gateway, f"/ws/{n}")) for n in range(20)]
        for n, connection in enumerate(connections):
            assert connection.recv(30) == f"hello from /ws/{n}"
            connection.send(f"to {n}")
        for n, connection in reversed(list(enumerate(connections))):
            assert connection.recv(30) == f"to {n}"


def test_guards_stand_before_an_upgrade(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus) as refused:
        dial(gateway, "/ws/denied")
    assert refused.value.response.status_code == 403
    assert refused.value.response.body is not None
    assert json.loads(refused.value.response.body)["code"] == "address_denied"
    event = gateway.wait_for_audit(lambda event: event["path"] == "/ws/denied")
    assert (event["decision"], event["guard"]) == ("refused", "addresses")


def test_a_service_may_decline_an_upgrade(gateway: Gateway) -> None:
    """Its answer passes as it is; this one has no WebSockets."""
    with pytest.raises(InvalidStatus) as refused:
        dial(gateway, "/no-websocket")
    assert refused.value.response.status_code == 200


# --- Large bodies ------------------------------------------------------------------------------------------


@BOTH_VERSIONS
def test_a_large_download_waits_for_its_reader(
    gateway: Gateway, answers: Callable[[Respond], None], version: str
) -> None:
    total = 150
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(total):
            yield PIECE
            sent += 1

    answers(lambda _request: Response(200, (), pieces()))
    workers = gateway.worker_pids()
    before = private_bytes(workers)
    digest = hashlib.sha256()
    with (
        gateway.client(http2=version == HTTP2, timeout=60) as client,
        client.stream("GET", "/download") as response,
    ):
        chunks = response.iter_raw()
        digest.update(next(chunks))
        # Nobody reads: what the service could send fills the kernel's buffers; the gateway holds none of it.
        stalled = -1
        while stalled != sent:
            stalled = sent
            threading.Event().wait(0.3)
        assert sent < total
        assert private_bytes(workers) - before < 8 * MEGABYTE
        for number, chunk in enumerate(chunks):
            digest.update(chunk)
            if number == 1000:
                assert private_bytes(workers) - before < 8 * MEGABYTE
    assert digest.digest() == hashlib.sha256(PIECE * total).digest()
    assert private_bytes(workers) - before < 8 * MEGABYTE


@BOTH_VERSIONS
def test_a_large_upload_is_whole_before_the_service_hears_of_it(
    gateway: Gateway, backend: Backend, version: str
) -> None:
    """It waits on the disk, so that a slow client holds no connection of the service, and no memory."""
    path = f"/upload/{version}"
    pieces = 60
    workers = gateway.worker_pids()
    before = private_bytes(workers)

    def body() -> Iterator[bytes]:
        for number in range(pieces):
            if number == pieces - 1:
                assert private_bytes(workers) - before < 8 * MEGABYTE
                assert path not in {seen.target for seen in backend.requests}
            yield PIECE

    fields = {"Content-Length": str(pieces * MEGABYTE)}
    with gateway.client(http2=version == HTTP2, timeout=60) as client:
        assert client.post(path, content=body(), headers=fields).status_code == 200
    (seen,) = [seen for seen in backend.requests if seen.target == path]
    assert hashlib.sha256(seen.body).digest() == hashlib.sha256(PIECE * pieces).digest()
    assert private_bytes(workers) - before < 8 * MEGABYTE
    kept = work_folder(gateway.state) / "temp-body"
    wait_for(lambda: not [name for _, _, files in os.walk(kept) for name in files])
    backend.forget()


# --- A service that fails ----------------------------------------------------------------------------------


def takeover(*parts: bytes, then: Callable[[socket.socket], None] | None = None) -> Response:
    """Return an answer of bytes as they are; the connection closes behind them, once `then` has returned."""

    def send(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        if then is not None:
            then(connection)

    return Response(takeover=send)


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
