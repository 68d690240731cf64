"""Answers and bodies flow through as they come, and none of them grows the gateway."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from asyncio import timeout
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Final

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.server import Server, ServerConnection, serve

from bartizan.layout import work_folder
from tests.support.backend import Backend, Respond, Response
from tests.support.gateway import Gateway, wait_for
from tests.support.memory import private_bytes
from tests.support.ports import free_port
from tests.support.refusals import policy
from tests.support.wire import BOTH_VERSIONS, HTTP2, port_of

MEGABYTE: Final = 1_000_000
PIECE: Final = os.urandom(MEGABYTE)
EVENTS: Final = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"))


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
    port = sockets.socket.getsockname()[1]
    rules["upstreams"]["sockets"] = {"servers": [f"http://127.0.0.1:{port}"]}
    common = {"methods": ["GET"], "auth": "none"}
    rules["routes"] += [
        {"prefix": "/ws", "upstream": "sockets", **common},
        {"prefix": "/ws/denied", "upstream": "sockets", "addresses": {"deny": ["127.0.0.1"]}, **common},
    ]
    with Gateway(rules) as running:
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


def dial(gateway: Gateway, path: str) -> connect:
    # In asyncio: the synchronous client uses one TLS connection from two threads at once, which corrupts it.
    url = f"wss://localhost:{port_of(gateway)}{path}"
    return connect(url, ssl=gateway.context(), proxy=None, max_size=None, compression=None)


async def test_a_websocket_passes_both_ways_and_is_logged_at_its_end(gateway: Gateway) -> None:
    async with dial(gateway, "/ws/echo?a=b") as connection, timeout(60):
        assert connection.response is not None
        assert connection.response.headers["Strict-Transport-Security"]
        assert await connection.recv() == "hello from /ws/echo?a=b", "the service may speak first"
        for message in ("", "text", "€ 🏰", b"", PIECE):
            await connection.send(message)
            assert await connection.recv() == message
        await (await connection.ping())
        assert not any(line["path"] == "/ws/echo?a=b" for line in gateway.access()), "logged before its end"
        await connection.send("close")
        with pytest.raises(ConnectionClosedError) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as you asked")
    line = gateway.wait_for_access(lambda line: line["path"] == "/ws/echo?a=b")
    assert (line["status"], line["verdict"], line["upstream_status"]) == (101, "passed", "101")
    assert line["bytes_out"] > 1_000_000


async def test_a_client_closes_a_websocket(gateway: Gateway) -> None:
    async with dial(gateway, "/ws/closed") as connection, timeout(60):
        await connection.recv()
        await connection.close(1000)
        with pytest.raises(ConnectionClosedOK):
            await connection.recv()
    gateway.wait_for_access(lambda line: line["path"] == "/ws/closed" and line["status"] == 101)


async def test_many_websockets_at_once(gateway: Gateway) -> None:
    async with AsyncExitStack() as stack, timeout(60):
        connections = [await stack.enter_async_context(dial(gateway, f"/ws/{n}")) for n in range(20)]
        for n, connection in enumerate(connections):
            assert await connection.recv() == f"hello from /ws/{n}"
            await connection.send(f"to {n}")
        for n, connection in reversed(list(enumerate(connections))):
            assert await connection.recv() == f"to {n}"


async def test_guards_stand_before_an_upgrade(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await dial(gateway, "/ws/denied")
    assert refused.value.response.status_code == 403
    assert refused.value.response.body is not None
    assert json.loads(refused.value.response.body)["code"] == "address_denied"
    event = gateway.wait_for_audit(lambda event: event["path"] == "/ws/denied")
    assert (event["decision"], event["guard"]) == ("refused", "addresses")


async def test_a_service_may_decline_an_upgrade(gateway: Gateway) -> None:
    """Its answer passes as it is; this one has no WebSockets."""
    with pytest.raises(InvalidStatus) as refused:
        await dial(gateway, "/no-websocket")
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
