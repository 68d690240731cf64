"""An upstream that sends more than was asked for: a kept connection is never poisoned for the next request.

What lies behind an answer, or comes before a request was sent, must not be taken for the answer of another.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final, Self

import httpx
import pytest

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway, wait_for
from tests.support.ports import free_port
from tests.support.refusals import policy

EVIL: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nevil"
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhere\r\n0\r\n\r\n"

# Sent as one, and in two parts with a pause between them; the connection is kept then.
POISONS: Final[dict[str, tuple[str, bytes, bytes]]] = {
    "bytes behind the length": ("GET", HEAD + b"Content-Length: 4\r\n\r\nhere", b"more"),
    "an answer behind the length": ("GET", HEAD + b"Content-Length: 4\r\n\r\nhere", EVIL),
    "an answer behind the last chunk": ("GET", CHUNKED, EVIL),
    "an answer behind the last chunk's trailer": ("GET", CHUNKED[:-2] + b"X-T: a\r\n\r\n", EVIL),
    "a body behind a 204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", EVIL),
    "a body behind a 304": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", EVIL),
    "a body behind the answer of HEAD": ("HEAD", HEAD + b"Content-Length: 79\r\n\r\n", EVIL),
    "an answer behind no length": ("GET", HEAD + b"Content-Length: 0\r\n\r\n", EVIL),
    "an interim answer behind the length": (
        "GET",
        HEAD + b"Content-Length: 4\r\n\r\nhere",
        b"HTTP/1.1 100 Continue\r\n\r\n" + EVIL,
    ),
    "a thousand answers": ("GET", HEAD + b"Content-Length: 4\r\n\r\nhere", EVIL * 1000),
}


class Sloppy:
    """A service on a bare connection that it keeps: it answers a request with its target.

    Attributes:
        sent: how often the poison was sent.
    """

    def __init__(self) -> None:
        self.sent = 0
        self._answer, self._poison, self._apart = b"", b"", False

    def prepare(self, answer: bytes, poison: bytes, *, apart: bool) -> None:
        self._answer, self._poison, self._apart = answer, poison, apart

    def has_sent(self, count: int) -> bool:
        return self.sent >= count

    def respond(self, request: Request) -> Response:
        def serve(connection: socket.socket) -> None:
            self._send(connection, request.target)
            while data := connection.recv(65536):
                self._send(connection, data.split(b" ")[1].decode())

        return Response(takeover=serve)

    def _send(self, connection: socket.socket, target: str) -> None:
        if not target.startswith("/poison"):
            body = target.encode()
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            return
        if not self._apart:
            connection.sendall(self._answer + self._poison)
        else:
            connection.sendall(self._answer)
            # The gateway has taken the answer by then, and keeps the connection for the next request.
            threading.Event().wait(0.05)
            with suppress(OSError):
                connection.sendall(self._poison)
        self.sent += 1


@pytest.fixture(scope="module")
def sloppy() -> Sloppy:
    return Sloppy()


@pytest.fixture(scope="module")
def backend(sloppy: Sloppy) -> Iterator[Backend]:
    with Backend(sloppy.respond) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    # One worker, which keeps one connection: the next request would take the poisoned one.
    rules = policy(backend) | {"workers": 1}
    rules["upstreams"]["data"] |= {"keepalive": 1, "max_fails": 1000}
    rules["routes"][0]["methods"] = ["GET", "HEAD"]
    with Gateway(rules) as running:
        yield running


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client


def ask(client: httpx.Client, target: str) -> None:
    answer = client.get(target)
    assert (answer.status_code, answer.text) == (200, target)


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "a moment later"])
def test_the_next_answer_belongs_to_the_next_request(
    client: httpx.Client, sloppy: Sloppy, bounds: Bounds, figures: Figures, apart: bool
) -> None:
    """Expected: the connection with more on it is closed; whoever asks next is answered on another."""
    before, poisoned = sloppy.sent, 0
    for number in range(bounds.rounds * 3):
        for name, (method, answer, poison) in POISONS.items():
            sloppy.prepare(answer, poison, apart=apart)
            ask(client, f"/before/{number}")
            got = client.request(method, f"/poison/{number}")
            assert got.status_code in {200, 204, 304}, name
            assert got.content in {b"here", b""}, name
            poisoned += 1
            wait_for(partial(sloppy.has_sent, before + poisoned))
            for again in range(3):
                ask(client, f"/after/{number}/{again}")
    figures["poisoned"] = poisoned
    figures["answers_of_another_request"] = 0


class Eager:
    """A service that says something on every connection before it was asked; then it answers each request.

    Attributes:
        port: where it listens.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.port = int(self._listener.getsockname()[1])
        # Connections on which it spoke, but neither answered yet nor met the end.
        self._pending: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def settled(self) -> bool:
        """Whether every request that came was answered, or came to nothing."""
        return not self._pending

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._pending.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(HEAD + b"Content-Length: 5\r\n\r\nearly")
            while data := connection.recv(65536):
                body = data.split(b" ")[1]
                connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
                self._pending.discard(connection)
        self._pending.discard(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def test_an_answer_before_its_request_is_never_that_of_a_second_one(bounds: Bounds, figures: Figures) -> None:
    """Expected: what a service says unasked may answer the first request of its connection, and no other.

    Nothing tells an early answer from a quick one there; afterwards it is data on a connection without a
    request, which is closed (RFC 9112 section 9.2).
    """
    early = 0
    with Eager() as eager:
        rules = {
            "workers": 1,
            "upstreams": {"data": {"servers": [f"http://127.0.0.1:{eager.port}"], "keepalive": 1}},
            "routes": [{"prefix": "/", "methods": ["GET"], "upstream": "data", "auth": "none"}],
        }
        with Gateway(rules) as gateway, gateway.client() as client:
            for number in range(bounds.rounds * 20):
                answer = client.get(f"/{number}")
                assert answer.text in {"early", f"/{number}"}
                early += answer.text == "early"
                wait_for(eager.settled)
    figures["asked"] = bounds.rounds * 20
    figures["answered_by_what_came_early"] = early
    figures["answers_of_another_request"] = 0
