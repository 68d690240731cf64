"""An answer that the upstream begins and does not end is a failure in logs and metrics; no other is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from tests.support.backend import Backend, Request, Response, takeover
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection, request
from tests.support.raw import exchange
from tests.support.refusals import policy
from tests.support.wire import HTTP2, port_of

HTTP10: Final = "HTTP/1.0"
CLOSE: Final = "HTTP/1.1, to be closed"
VERSIONS: Final = ("HTTP/1.1", CLOSE, HTTP10, HTTP2)

HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
LENGTH: Final = HEAD + b"Content-Length: 100\r\n\r\n"
CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def stall(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


BROKEN: Final[dict[str, Response]] = {
    "short of its length": takeover(LENGTH, b"beginning"),
    "nothing of its length": takeover(LENGTH),
    "without a last chunk": takeover(CHUNKED, b"9\r\nbeginning\r\n"),
    "within a chunk": takeover(CHUNKED, b"ff\r\nbeginning"),
    "no chunk at all": takeover(CHUNKED),
    "reset within its length": takeover(LENGTH, b"beginning", then=reset),
    "stalled within its length": takeover(LENGTH, b"beginning", then=stall),
    "stalled between chunks": takeover(CHUNKED, b"9\r\nbeginning\r\n", then=stall),
}
WHOLE: Final[dict[str, Response]] = {
    "a length": Response(),
    "a length of nothing": Response(body=b""),
    "chunks": Response(body=[b"one", b"two"]),
    "no chunk": Response(body=[]),
    "until the connection ends": takeover(b"HTTP/1.0 200 OK\r\n\r\nall of it"),
    "204": takeover(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "304": takeover(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n"),
    "an error": takeover(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"),
    "much": Response(body=[b"x" * 10_000] * 20),
}
ANSWERS: Final = BROKEN | WHOLE


def path_of(name: str, version: str) -> str:
    return f"/{list(ANSWERS).index(name)}/{VERSIONS.index(version)}"


def respond(request: Request) -> Response:
    number = request.target.split("/")[1]
    return list(ANSWERS.values())[int(number)] if number.isdigit() else Response()


@dataclass(frozen=True)
class Told:
    """What the logs say of a request: the line of the access log, the events of the audit log."""

    line: dict[str, Any]
    events: list[dict[str, Any]]


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend(respond) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    rules = policy(backend)
    rules["upstreams"]["data"] |= {"read_timeout": "300ms", "max_fails": 1_000}
    with Gateway(rules) as running:
        running.expect_error(r"upstream (prematurely closed|timed out)|Connection reset")
        yield running


def fetch(gateway: Gateway, path: str, version: str, method: str = "GET") -> None:
    if version == HTTP2:
        with Connection(port_of(gateway), gateway.context()) as connection:
            connection.exchange(request(path, method))
        return
    name, fields = (HTTP10, "") if version == HTTP10 else ("HTTP/1.1", "")
    if version == CLOSE:
        fields = "Connection: close\r\n"
    data = f"{method} {path} {name}\r\nHost: localhost\r\n{fields}\r\n".encode()
    port = port_of(gateway)
    exchange(port, data, tls=gateway.context(), head_only=method == "HEAD")


@pytest.fixture(scope="module")
def told(gateway: Gateway) -> dict[str, Told]:
    """Every answer over every version; the logs are waited for once."""
    paths = [path_of(name, version) for name in ANSWERS for version in VERSIONS]

    def run(version: str) -> None:
        for name in ANSWERS:
            fetch(gateway, path_of(name, version), version)

    threads = [threading.Thread(target=run, args=(version,)) for version in VERSIONS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: set(paths) <= {line["path"] for line in gateway.access()})
    lines = {line["path"]: line for line in gateway.access()}
    audit = gateway.audit()
    return {path: Told(lines[path], [event for event in audit if event["path"] == path]) for path in paths}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_a_failure_of_the_upstream(told: dict[str, Told], name: str, version: str) -> None:
    case = told[path_of(name, version)]
    (event,) = case.events
    assert (event["decision"], event["guard"], event["mode"]) == ("failed", "upstream", "enforce")
    # The status was sent by then, so it is what the client has.
    assert (event["code"], event["status"]) == ("upstream_cut_off", 200)
    assert event["reason"]
    assert event["route"]
    assert event["request_id"] == case.line["request_id"]
    assert (case.line["status"], case.line["verdict"]) == (200, "upstream_cut_off")
    assert case.line["upstream_status"] == "200"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_none(told: dict[str, Told], name: str, version: str) -> None:
    case = told[path_of(name, version)]
    assert case.events == []
    assert case.line["verdict"] == "passed"


def test_failures_are_counted(gateway: Gateway, told: dict[str, Told]) -> None:
    failures = sum(len(case.events) for case in told.values())
    labels = 'guard="upstream",mode="enforce",decision="failed",code="upstream_cut_off"'

    def counted() -> bool:
        lines = httpx.get(f"{gateway.operator}/metrics").text.splitlines()
        (count,) = [line.rpartition(" ")[2] for line in lines if labels in line] or ["0"]
        return int(count) == failures

    wait_for(counted)


def test_head_has_no_end_to_miss(gateway: Gateway) -> None:
    path = path_of("short of its length", HTTP2) + "/head"
    fetch(gateway, path, "HTTP/1.1", "HEAD")
    line = gateway.wait_for_access(lambda line: line["path"] == path)
    assert (line["method"], line["verdict"]) == ("HEAD", "passed")


@pytest.mark.parametrize("version", ["HTTP/1.1", HTTP2])
def test_a_client_that_leaves_is_nobodys_fault(backend: Backend, gateway: Gateway, version: str) -> None:
    left = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            left.set()

    given = backend.respond
    backend.respond = lambda _request: Response(body=endless())
    path = f"/left/{version}"
    try:
        with (
            gateway.client(http2=version == HTTP2) as client,
            client.stream("GET", path) as response,
        ):
            assert next(response.iter_raw())
        assert left.wait(30)
    finally:
        backend.respond = given
    line = gateway.wait_for_access(lambda line: line["path"] == path)
    assert line["verdict"] == "passed"
    assert not any(event["path"] == path for event in gateway.audit())


@pytest.mark.parametrize("version", ["HTTP/1.1", HTTP2])
def test_a_client_that_leaves_before_the_answer_is_499(
    backend: Backend, gateway: Gateway, version: str
) -> None:
    came = threading.Event()

    def wait(connection: socket.socket) -> None:
        came.set()
        stall(connection)

    given = backend.respond
    backend.respond = lambda _request: Response(takeover=wait)
    path = f"/early/{version}"
    try:
        with socket.create_connection(("127.0.0.1", port_of(gateway))) as plain:
            if version == HTTP2:
                plain.close()
                with Connection(port_of(gateway), gateway.context()) as connection:
                    connection.send(request(path))
                    assert came.wait(30)
            else:
                with gateway.context().wrap_socket(plain, server_hostname="localhost") as secure:
                    secure.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                    assert came.wait(30)
    finally:
        backend.respond = given
    line = gateway.wait_for_access(lambda line: line["path"] == path)
    assert line["status"] in {499, 504}  # a busy machine may take longer than the time for reading
    assert not any(event["code"] == "upstream_cut_off" for event in gateway.audit() if event["path"] == path)
