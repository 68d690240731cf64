"""The service as it is started: a process on a port, spoken to over plain sockets."""

import asyncio
import contextlib
import http.client
import http.server
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets.exceptions
import websockets.sync.client

from tests.support.issuer import ISSUER, jwks, token
from tests.support.raw import exchange, status_of
from tests.support.service import Service
from upstream import database
from upstream.settings import Settings


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


def started(state: Path, jwks_url: str) -> Service:
    """Start a service that has its keys."""
    file = Settings(state=state).database
    database.make_file(file)
    asyncio.run(database.initialise(file))
    options = ("--port", "0", "--state", state, "--jwks", jwks_url, "--issuer", ISSUER, "--log", "json")
    return Service("upstream", "serve", *options, ready="key_set_taken")


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
    answer = exchange(
        service.port,
        b"GET /api/users HTTP/1.1\r\nHost: "
        + host
        + b"\r\n"
        + authorization
        + b"\r\nConnection: close\r\n\r\n",
    )
    assert status_of(answer) in {200, 400}


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"//api/users", 404),
        (b"//evil.test/..", 404),
        (b"/api//users", 404),
        (b"/api/users/", 404),
        (b"/api/./users", 404),
        (b"/api/%75sers", 200),
        (b"/api/users/%31", 200),
        (b"/api/users%2f1", 200),
        (b"/api/users/%d9%a1", 404),
        (b"/%ff%fe", 404),
        (b"/%00", 404),
        (b"/%1b[31m", 404),
        (b"?a=1", 404),
        (b"*", 404),
        (b"/\xff", 400),
        (b"/a b", 400),
        (b"api/users", 404),
        (b"http://evil.test/api/users", 404),
        (b"/api/users?" + b"a=1&" * 500, 400),
    ],
)
def test_a_path_is_the_services_or_not_found(service: Service, target: bytes, status: int) -> None:
    request = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: "
    answer = exchange(service.port, request + headers()["Authorization"].encode() + b"\r\n\r\n")
    assert status_of(answer) == status
    assert b"\r\nlocation:" not in answer.lower()


def test_asking_for_the_head_of_the_stream_holds_nothing_up(service: Service) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)) as connection:
        connection.request("HEAD", "/api/users/events", headers=headers())
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200


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
    assert service.events[-1]["event"] == "stopped"


def test_stops_in_good_order_though_connections_are_half_way(tmp_path: Path, jwks_url: str) -> None:
    with started(tmp_path, jwks_url) as service, contextlib.ExitStack() as connections:
        address = f"ws://127.0.0.1:{service.port}/api/users/live"
        socket_ = connections.enter_context(
            websockets.sync.client.connect(address, additional_headers=headers(), proxy=None)
        )
        socket_.send("hello")
        assert socket_.recv(timeout=20) == "hello"
        half = connections.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=20))
        half.sendall(
            b"POST /api/users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\nAuthorization: " + headers()["Authorization"].encode() + b"\r\n\r\n{"
        )
        assert service.stop() == 0
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            socket_.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


def test_users_are_there_after_a_restart(tmp_path: Path, jwks_url: str) -> None:
    with started(tmp_path, jwks_url) as service:
        user = {"name": "Kept", "email": "kept@example.org"}
        added = httpx.post(f"{service.url}/api/users", json=user, headers=headers(), trust_env=False)
        assert added.status_code == 201
        assert service.stop(signal.SIGINT) == 0
    with started(tmp_path, jwks_url) as service:
        found = httpx.get(f"{service.url}/api/users?q=kept", headers=headers(), trust_env=False)
        assert [user["name"] for user in found.json()["users"]] == ["Kept"]
