"""Requests that never become whole are cut off, reset or given up; always logged, never forwarded."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support.backend import Backend
from tests.support.gateway import Gateway
from tests.support.http2 import Connection, request
from tests.support.refusals import (
    policy,
    text,
)
from tests.support.wire import port_of


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend) | {"listen": {"http": {"redirect": False}}}) as running:
        workers = running.worker_pids()
        yield running
        assert running.worker_pids() == workers, "a worker had to be started again"


# --- Requests that stay half ------------------------------------------------------------------------------
# They are begun with the module and end by the gateway's time-outs (a head within 10 s, a body 15 s after its
# last byte), so that the other tests fill the time.

CHUNKED: Final = ["Host: localhost", "Transfer-Encoding: chunked"]
HALVES: Final = {
    "half a request line": text(["GET /half/line HT"])[:-4],
    "half a head": text(["GET /half/head HTTP/1.1", "Host: localhost", "X-A: b"])[:-2],
    "half a body": text(["POST /half/body HTTP/1.1", "Host: localhost", "Content-Length: 10"], "abc"),
    "half a chunk": text(["POST /half/chunk HTTP/1.1", *CHUNKED], "5\r\na"),
    "no last chunk": text(["POST /half/end HTTP/1.1", *CHUNKED], "1\r\na\r\n"),
}
DRIBBLE: Final = text(["GET /half/dribble HTTP/1.1", "Host: localhost"])[:-2] + b"X-A: b\r\n" * 100


@dataclass
class Half:
    """A connection on which half a request was sent, and what came back when it ended."""

    connection: socket.socket
    answer: bytes = b""

    def await_end(self) -> bytes:
        try:
            while chunk := self.connection.recv(65536):
                self.answer += chunk
        except (ConnectionResetError, ssl.SSLEOFError):
            pass  # reset_timedout_connection: nginx keeps nothing of it
        return self.answer


@dataclass
class Halves:
    """All of them."""

    http1: dict[str, Half]
    http2: dict[str, tuple[Connection, int]]
    dribbled: Callable[[], int]


@pytest.fixture(scope="module", autouse=True)
def halves(gateway: Gateway) -> Iterator[Halves]:
    def open_half(data: bytes) -> Half:
        plain = socket.create_connection(("127.0.0.1", port_of(gateway)), timeout=60)
        connection = gateway.context().wrap_socket(plain, server_hostname="localhost")
        connection.sendall(data)
        return Half(connection)

    sent = 0
    stop = threading.Event()

    def dribble() -> None:
        nonlocal sent
        with socket.create_connection(("127.0.0.1", port_of(gateway, tls=False)), timeout=60) as connection:
            for byte in DRIBBLE:
                try:
                    connection.sendall(bytes([byte]))
                except (ConnectionResetError, BrokenPipeError):
                    return
                sent += 1
                if stop.wait(0.05):
                    return

    thread = threading.Thread(target=dribble)
    thread.start()
    http1 = {name: open_half(data) for name, data in HALVES.items()}
    body = Connection(port_of(gateway), gateway.context(), seconds=60)
    body_stream = body.send(request("/half/http2", "POST"), end=False)
    body.send_body(body_stream, b"abc", end=False)

    def dribbled() -> int:
        thread.join(60)
        assert not thread.is_alive()
        return sent

    yield Halves(http1, {"half a body over HTTP/2": (body, body_stream)}, dribbled)
    stop.set()
    thread.join()
    for half in http1.values():
        half.connection.close()
    body.close()


def assert_timed_out(gateway: Gateway, path: str) -> None:
    """Check that the logs have a request that never became whole."""
    event = gateway.wait_for_audit(lambda event: event["path"] == path)
    assert (event["decision"], event["code"], event["status"]) == ("aborted", "request_timeout", 408)
    line = gateway.wait_for_access(lambda line: line["path"] == path)
    assert (line["status"], line["verdict"]) == (408, "request_timeout")


@pytest.mark.parametrize("name", HALVES)
def test_half_a_request_is_cut_off_and_logged(
    gateway: Gateway, backend: Backend, halves: Halves, name: str
) -> None:
    assert halves.http1[name].await_end() == b""
    path = HALVES[name].split(b" ")[1].decode()
    assert_timed_out(gateway, path)
    assert path not in {seen.target for seen in backend.requests}


def test_half_a_body_over_http2_is_reset_and_logged(
    gateway: Gateway, backend: Backend, halves: Halves
) -> None:
    connection, stream = halves.http2["half a body over HTTP/2"]
    answer = connection.await_answer(stream)
    assert answer.status in {None, 408}
    assert answer.reset is not None or connection.ended or answer.status == 408
    assert_timed_out(gateway, "/half/http2")
    assert "/half/http2" not in {seen.target for seen in backend.requests}


def test_a_head_that_comes_byte_by_byte_is_cut_off_all_the_same(gateway: Gateway, halves: Halves) -> None:
    assert halves.dribbled() < len(DRIBBLE)
    assert_timed_out(gateway, "/half/dribble")


@pytest.mark.parametrize("name", HALVES)
def test_half_a_request_that_the_client_gives_up_is_logged(
    gateway: Gateway, backend: Backend, name: str
) -> None:
    """The client closes: no answer is due to anybody."""
    data = HALVES[name].replace(b"/half/", b"/given-up/")
    path = data.split(b" ")[1].decode()
    with socket.create_connection(("127.0.0.1", port_of(gateway, tls=False)), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    line = gateway.wait_for_access(lambda line: line["path"] == path)
    assert line["status"] in {400, 499}
    assert path not in {seen.target for seen in backend.requests}
