"""`tokendealer serve` as a process: sockets, signals, several processes on one database."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.service import ROOT, Service
from tests.support.tokendealer import Prepared, serving

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture(scope="module")
def running(prepared: Prepared) -> Iterator[Service]:
    with serving(prepared.path) as process:
        yield process


def connect(running: Service) -> socket.socket:
    where = urlsplit(running.url)
    assert where.hostname
    assert where.port
    return socket.create_connection((where.hostname, where.port), timeout=20)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def status_line(running: Service, request: bytes) -> str:
    """Send the bytes of one request and return the first line of what comes back."""
    with connect(running) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while b"\r\n" not in received:
            chunk = connection.recv(65536)
            if not chunk:
                break
            received += chunk
    return received.partition(b"\r\n")[0].decode()


def test_a_token_over_http(running: Service, prepared: Prepared) -> None:
    who = prepared.clients["reader"]
    with httpx.Client(base_url=running.url) as client:
        for _ in range(3):  # on one connection
            answer = client.post("/oauth/token", data=GRANT, auth=(who.client_id, who.secret))
            assert answer.status_code == 200
            assert "server" not in answer.headers
        assert who.secret not in str(running.events)
        assert answer.json()["access_token"] not in str(running.events)


ODD_REQUESTS = {
    "no path": b"GET ?x HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": b"GET /oauth/token HTTP/1.1\r\n\r\n",
    "odd host": b"GET /oauth/token HTTP/1.1\r\nHost: [\r\n\r\n",
    "HTTP/1.0": b"GET /oauth/token HTTP/1.0\r\n\r\n",
    "unknown method": b"BREW /oauth/token HTTP/1.1\r\nHost: a\r\n\r\n",
    "query of raw bytes": b"GET /oauth/token?%FF%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "escaped line break": b"GET /oauth%0d%0atoken HTTP/1.1\r\nHost: a\r\n\r\n",
    "no request": b"\x00\x01\x02\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "many headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 10000 + b"\r\n",
    "bad length": b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length too large": b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
    "bad chunks": b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "unknown encoding": b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "WebSocket": b"GET /oauth/token HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", ODD_REQUESTS.values(), ids=ODD_REQUESTS.keys())
def test_an_odd_request_gets_a_4xx(running: Service, request_bytes: bytes) -> None:
    line = status_line(running, request_bytes)
    assert line.startswith("HTTP/1.1 4") or (line == "HTTP/1.1 501 " and b"gzip" in request_bytes), line


def test_http2_without_tls(running: Service, prepared: Prepared) -> None:
    who = prepared.clients["reader"]
    with httpx.Client(base_url=running.url, http1=False, http2=True) as client:
        answer = client.post("/oauth/token", data=GRANT, auth=(who.client_id, who.secret))
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
        assert client.post("/oauth/token", data=GRANT).status_code == 401


def test_an_interrupt_ends_it_although_a_connection_is_open(prepared: Prepared) -> None:
    with serving(prepared.path) as process, httpx.Client(base_url=process.url) as client:
        assert client.get("/healthz").status_code == 200  # and the connection is kept
        assert process.stop(signal.SIGINT) == 0
        assert process.events[-1]["event"] == "stopped"


def test_two_processes_on_one_database(own_state: Prepared) -> None:
    """What one command changes, every process follows; a token of one is good at the other."""

    def command(*arguments: str) -> str:
        full = [sys.executable, "-m", "tokendealer", "clients", *arguments, "--state", str(own_state.path)]
        return subprocess.run(full, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    with ExitStack() as stack:
        processes = [stack.enter_context(serving(own_state.path)) for _ in range(2)]
        clients = [stack.enter_context(httpx.Client(base_url=process.url)) for process in processes]
        secret = command("add", "late", "--audience", "data").split()[-1]
        form = {**GRANT, "client_id": "late", "client_secret": secret}

        def statuses() -> set[int]:
            return {client.post("/oauth/token", data=form).status_code for client in clients}

        until(lambda: statuses() == {200})
        token = clients[0].post("/oauth/token", data=form).json()["access_token"]
        verified = clients[1].post("/verify_token", data={"access_token": token, "audience": "data"})
        assert verified.json()["client_id"] == "late"
        command("disable", "late")
        until(lambda: statuses() == {401})


def test_a_taken_port_is_one_sentence(prepared: Prepared) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "tokendealer", "serve", "--state", str(prepared.path)]
        command += ["--algorithm", "EdDSA", "--port", str(port)]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert done.stderr == f"tokendealer: cannot listen on 127.0.0.1:{port}: address already in use\n"


def test_listening_on_ipv6(prepared: Prepared) -> None:
    if not Path("/proc/net/if_inet6").read_text():
        pytest.fail("this machine has no IPv6 loopback")
    with serving(prepared.path, "--host", "::1") as process:
        assert process.url.startswith("http://[::1]:")
        assert httpx.get(f"{process.url}/healthz").json() == {"status": "ok"}
