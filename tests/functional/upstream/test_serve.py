"""The service as it is started: a process on a port, spoken to over plain sockets."""

import asyncio
import contextlib
import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.issuer import ISSUER, jwks, token
from upstream import database
from upstream.settings import Settings

UPSTREAM = [sys.executable, "-c", "from upstream.cli import main; main()"]


class Service:
    """A running service.

    Attributes:
        url: where it is.
        process: its process.
        log: what it has written to stderr.
    """

    def __init__(self, state: Path, jwks_url: str) -> None:
        arguments = [
            "serve",
            "--port",
            "0",
            "--state",
            str(state),
            "--jwks",
            jwks_url,
            "--issuer",
            ISSUER,
            "--json-log",
        ]
        self.process = subprocess.Popen([*UPSTREAM, *arguments], stderr=subprocess.PIPE, text=True)
        self.log: list[dict[str, object]] = []
        self._serving = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._serving.wait(60), f"it did not start: {self.log}"
        self.url = str(next(event["url"] for event in self.log if event["event"] == "serving"))
        self.port = int(self.url.rpartition(":")[2])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(json.loads(line))
            if self.log[-1]["event"] == "key_set_taken":
                self._serving.set()

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and return its exit code."""
        self.process.send_signal(signum)
        code = self.process.wait(30)
        self._reader.join(30)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def raw(self, request: bytes) -> bytes:
        """Send bytes and return all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return answer


@pytest.fixture(scope="module")
def jwks_url() -> Iterator[str]:
    """Publish the key set over HTTP."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = jwks("ES256")
            self.send_response(200)
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def started(state: Path, jwks_url: str) -> Iterator[Service]:
    """Start a service, and expect nothing bad in its log when it has stopped."""
    file = Settings(state=state).database
    database.make_file(file)
    asyncio.run(database.initialise(file))
    service = Service(state, jwks_url)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.stop()
    assert [event for event in service.log if event["level"] not in {"debug", "info"}] == []


@pytest.fixture(scope="module")
def service(jwks_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests that leave it running."""
    with started(tmp_path_factory.mktemp("state"), jwks_url) as service:
        yield service


def headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {token()}"}


def test_serves_over_http(service: Service) -> None:
    with httpx.Client(base_url=service.url, headers=headers(), trust_env=False) as client:
        added = client.post("/api/users", json={"name": "New", "email": "new@example.org"})
        assert added.status_code == 201
        assert client.get(added.headers["Location"]).json()["name"] == "New"
        assert client.get("/api/users", headers={"Authorization": ""}).status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        b"evil.test",
        b"evil.test:99999",
        b"a b",
        b"[::1",
        b"",
        b"x" * 300,
        b"\xff",
        b"-",
        b"..",
        b"xn--",
        b"a" * 64 + b".test",
    ],
)
def test_no_host_header_is_a_failure(service: Service, host: bytes) -> None:
    authorization = b"Authorization: " + headers()["Authorization"].encode()
    answer = service.raw(
        b"GET /api/users HTTP/1.1\r\nHost: "
        + host
        + b"\r\n"
        + authorization
        + b"\r\nConnection: close\r\n\r\n"
    )
    assert answer.split(b" ")[1] in {b"200", b"400"}


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"//api/users", b"404"),
        (b"//evil.test/..", b"404"),
        (b"/api//users", b"404"),
        (b"/api/users/", b"404"),
        (b"/api/./users", b"404"),
        (b"/api/%75sers", b"200"),
        (b"/api/users/%31", b"200"),
        (b"/api/users%2f1", b"200"),
        (b"/api/users/%d9%a1", b"404"),
        (b"/%ff%fe", b"404"),
        (b"/%00", b"404"),
        (b"/%1b[31m", b"404"),
        (b"?a=1", b"404"),
        (b"*", b"404"),
        (b"/\xff", b"400"),
        (b"/a b", b"400"),
        (b"api/users", b"404"),
        (b"http://evil.test/api/users", b"404"),
        (b"/api/users?" + b"a=1&" * 500, b"400"),
    ],
)
def test_a_path_is_the_services_or_not_found(service: Service, target: bytes, status: bytes) -> None:
    request = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: "
    answer = service.raw(request + headers()["Authorization"].encode() + b"\r\n\r\n")
    assert answer.split(b" ")[1] == status
    assert b"\r\nlocation:" not in answer.lower()


def test_half_a_body_does_not_hold_the_service_up(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(
            b"POST /api/users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\nAuthorization: " + headers()["Authorization"].encode() + b"\r\n\r\n{"
        )
        assert httpx.get(f"{service.url}/healthz", trust_env=False).status_code == 200


def test_stops_in_good_order_though_clients_listen(tmp_path: Path, jwks_url: str) -> None:
    with (
        started(tmp_path, jwks_url) as service,
        httpx.Client(base_url=service.url, headers=headers(), trust_env=False) as client,
        client.stream("GET", "/api/users/events") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == "retry: 3000"
        assert service.stop() == 0
        # The stream's last chunk arrived; httpx would raise if the connection had been cut.
        assert list(lines)[-1] == ""
    assert service.log[-1]["event"] == "stopped"


def test_users_are_there_after_a_restart(tmp_path: Path, jwks_url: str) -> None:
    with started(tmp_path, jwks_url) as service:
        user = {"name": "Kept", "email": "kept@example.org"}
        added = httpx.post(f"{service.url}/api/users", json=user, headers=headers(), trust_env=False)
        assert added.status_code == 201
        assert service.stop(signal.SIGINT) == 0
    with started(tmp_path, jwks_url) as service:
        found = httpx.get(f"{service.url}/api/users?q=kept", headers=headers(), trust_env=False)
        assert [user["name"] for user in found.json()["users"]] == ["Kept"]
