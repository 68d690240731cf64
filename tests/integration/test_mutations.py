"""Valid requests with some bytes wrong: each gets an answer or a close, and a line in the log."""

from __future__ import annotations

import random
import re
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from h2.connection import H2Connection

from tests.support.backend import Backend
from tests.support.fuzz import mutate
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import request
from tests.support.raw import exchange
from tests.support.refusals import (
    CLIENTS_FAULT,
    policy,
    text,
)
from tests.support.wire import port_of

SEED: Final = 20261124


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend) | {"listen": {"http": {"redirect": False}}}) as running:
        running.expect_error(CLIENTS_FAULT)
        workers = running.worker_pids()
        yield running
        assert running.worker_pids() == workers, "a worker had to be started again"


# --- Fuzz --------------------------------------------------------------------------------------------------

VALID: Final = (
    text(["GET /a/b%20c?d=e&f=%2f HTTP/1.1", "Host: localhost", "User-Agent: a/1.0", "Accept: */*"]),
    text(["HEAD /a HTTP/1.1", "Host: localhost:8443", "Connection: close"]),
    text(["GET http://localhost/a?b HTTP/1.1", "Host: localhost", "X-Forwarded-For: 192.0.2.1"]),
    text(["POST /a HTTP/1.1", "Host: localhost", "Content-Type: text/plain", "Content-Length: 5"], "hello"),
    text(
        ["PUT /a/~b HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", "Expect: 100-continue"],
        "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
    ),
    text(
        [
            "GET /a HTTP/1.1",
            "Host: localhost",
            "Cookie: a=b; c=d",
            "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.",
            "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "Connection: keep-alive, X-A",
            "X-A: b",
            "Origin: https://a.example",
        ]
    ),
    text(["OPTIONS /a HTTP/1.0", "Accept-Language: de"]),
    text(["GET /one HTTP/1.1", "Host: localhost"]) + text(["GET /two HTTP/1.1", "Host: localhost"]),
)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_REQUEST_ID: Final = re.compile(rb'(?:\r\nX-Request-Id: |"request_id":")([0-9a-f]{32})')
# RFC 3986 in canonical form: unreserved, sub-delims, and percent-encodings with capital hex.
_CANONICAL: Final = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})*)+(\?[!-~]*)?")


def converse(port: int, data: bytes) -> bytes:
    """Send bytes; if nothing comes back in a moment, say that no more follow; return what came by the end."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(data)
            connection.settimeout(0.5)
            received += connection.recv(65536)
        except TimeoutError:
            pass  # it waits for the rest, which never comes
        except ConnectionError:
            return received
        connection.settimeout(30)
        try:
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass
    return received


def test_mutated_requests_break_nothing(gateway: Gateway, backend: Backend) -> None:
    port = port_of(gateway, tls=False)
    chance = random.Random(SEED)  # noqa: S311
    requests = [mutate(chance, chance.choice(VALID)) for _ in range(1500)]
    before = len(backend.requests)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda data: converse(port, data), requests))

    ids: list[str] = []
    statuses: Counter[int] = Counter()
    for data, answer in zip(requests, answers, strict=True):
        found = [int(status) for status in _STATUS_LINE.findall(answer)]
        statuses.update(found)
        assert not {500, 502, 503, 504} & set(found), (data, answer)
        assert b"<html" not in answer.lower(), (data, answer)  # neither nginx's pages nor the service's own
        told = {value.decode() for value in _REQUEST_ID.findall(answer)}
        final = sum(status >= 200 for status in found)
        # One more where the last answer was one to HTTP/0.9, which has no status line.
        assert 0 <= len(told) - final <= 1, (data, answer)
        ids += told
    # Not a fuzz of refusals alone, nor of what passes alone.
    assert statuses[200] > 200
    assert statuses[400] > 200
    assert len(set(ids)) == len(ids) > 900

    wait_for(lambda: set(ids) <= {line["request_id"] for line in gateway.access()})
    times = Counter(line["request_id"] for line in gateway.access())
    assert all(times[request_id] == 1 for request_id in ids)
    for seen in backend.requests[before:]:
        assert _CANONICAL.fullmatch(seen.target), seen
        assert "/../" not in seen.target.partition("?")[0], seen
        assert "//" not in seen.target.partition("?")[0], seen
        assert len(seen.all("Host")) == 1, seen
        assert len(seen.all("Content-Length")) <= 1, seen
        assert seen.all("Transfer-Encoding") == [], seen
        assert len(seen.all("Authorization")) <= 1, seen


def http2_bytes(*, capital: bool) -> tuple[bytes, int]:
    """Return what a client sends for two requests, and where its connection preface ends."""
    connection = H2Connection()
    connection.initiate_connection()
    preface = connection.data_to_send()
    name = "x-capital" if capital else "x-a"
    connection.send_headers(1, [*request("/a?b=c"), (name.encode(), b"b" * 50)], end_stream=True)
    connection.send_headers(3, request("/b", "POST"))
    connection.send_data(3, b"hello", end_stream=True)
    connection.ping(b"12345678")
    return preface + connection.data_to_send(), 24


def test_mutated_http2_breaks_nothing(gateway: Gateway) -> None:
    """Whatever stands in the frames; what comes back is nginx's affair as long as it ends."""
    chance = random.Random(SEED)  # noqa: S311
    port, workers = port_of(gateway), gateway.worker_pids()
    samples = [http2_bytes(capital=capital) for capital in (True, False)]

    def converse_http2(data: bytes) -> bytes:
        context = gateway.context()
        context.set_alpn_protocols(["h2"])
        received = b""
        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
            connection = context.wrap_socket(plain, server_hostname="localhost")
            try:
                connection.sendall(data)
                connection.settimeout(0.5)
                while chunk := connection.recv(65536):
                    received += chunk
            except (TimeoutError, ConnectionError, ssl.SSLError):
                pass
            finally:
                connection.close()
        return received

    requests = []
    for _ in range(300):
        valid, keep = chance.choice(samples)
        requests.append(mutate(chance, valid, keep=keep))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(converse_http2, requests))
    assert all(b"<html" not in answer.lower() for answer in answers)
    assert sum(bool(answer) for answer in answers) > 250
    assert gateway.worker_pids() == workers
    with gateway.client(http2=True) as client:
        assert client.get("/after").status_code == 200


def test_request_ids_never_repeat(gateway: Gateway) -> None:
    """In all that the other tests of this module, and this one, have brought about."""
    port = port_of(gateway, tls=False)
    one = b"GET /id HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(30):
        exchange(port, one * 100, responses=100)
    wait_for(lambda: sum(line["path"] == "/id" for line in gateway.access()) == 3000)
    times = Counter(line["request_id"] for line in gateway.access())
    assert [request_id for request_id, count in times.items() if count > 1] == []
