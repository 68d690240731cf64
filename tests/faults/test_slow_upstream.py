"""An upstream that is slow, or cuts answers off, under load: 504 or a visible cut; nobody else waits for it.

One fault at a time, without load: tests/integration/test_upstream_faults.py and test_cut_off.py.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, Final

import httpx
import pytest

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.support.backend import Backend, Request, Response, takeover
from tests.support.exposition import parse
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection, request
from tests.support.ports import free_port
from tests.support.traffic import Traffic, get
from tests.support.wire import port_of

READ_TIMEOUT: Final = 0.5
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
LENGTH: Final = HEAD + b"Content-Length: 100\r\n\r\nbeginning"
CHUNKS: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nbeginning\r\n"


def until_closed(connection: socket.socket) -> None:
    with suppress(OSError):
        while connection.recv(65536):
            pass


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def drip() -> Iterator[bytes]:
    """Come in pieces, none of them late, all together long after the time-out of a single read."""
    for _ in range(10):
        time.sleep(READ_TIMEOUT / 5)
        yield b"."


SLOW: Final[dict[str, Response]] = {
    "head": takeover(then=until_closed),
    "half-head": takeover(HEAD, then=until_closed),
}
CUT: Final[dict[str, Response]] = {
    "length": takeover(LENGTH),
    "chunks": takeover(CHUNKS),
    "reset": takeover(LENGTH, then=reset),
    "stalled-length": takeover(LENGTH, then=until_closed),
    "stalled-chunks": takeover(CHUNKS, then=until_closed),
}


def respond(request: Request) -> Response:
    """Answer `/NAME/NUMBER` with the fault of that name, `/mixed…/NUMBER` with each of the cuts in turn."""
    name, number = request.target.split("/")[1:3]
    if name == "drip":
        return Response(body=drip())
    if name.startswith("mixed") and int(number) % 2:
        return list(CUT.values())[int(number) // 2 % 3]
    return (SLOW | CUT).get(name) or Response()


class Deaf:
    """A service that listens and never accepts: its queue is full.

    Attributes:
        url: where it listens.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        listener = self._stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=0))
        del listener
        for _ in range(8):
            waiting = self._stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))

    def __enter__(self) -> Deaf:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend(respond) as running:
        yield running


@pytest.fixture(scope="module")
def deaf() -> Iterator[Deaf]:
    with Deaf() as listening:
        yield listening


@pytest.fixture(scope="module")
def gateway(backend: Backend, deaf: Deaf) -> Iterator[Gateway]:
    times = {"connect_timeout": "300ms", "read_timeout": f"{READ_TIMEOUT * 1000:.0f}ms", "max_fails": 0}
    methods = ["GET", "POST"]

    def route(prefix: str, upstream: str) -> dict[str, Any]:
        return {"prefix": prefix, "methods": methods, "upstream": upstream, "auth": "none"}

    rules = {
        "listen": {"http": {"redirect": False}},
        "upstreams": {
            "data": {"servers": [backend.url], **times},
            "deaf": {"servers": [deaf.url], **times},
            "half": {"servers": [deaf.url, backend.url], **times},
        },
        "defaults": {
            "body": "16MiB",
            "rate": {"limit": "1000000/s", "burst": 1000000},
            "concurrency": {"limit": 10000, "by": "address"},
        },
        "routes": [route("/", "data"), route("/deaf", "deaf"), route("/half", "half")],
    }
    with Gateway(rules) as running:
        running.expect_error(r"upstream (prematurely closed|timed out)|Connection reset")
        yield running


def failures(gateway: Gateway, prefix: str) -> Counter[str]:
    """Return the `failed` events of what was asked under a prefix, by code."""
    return Counter(
        event["code"]
        for event in gateway.audit()
        if event["path"].startswith(prefix) and event["decision"] == "failed"
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", ["deaf", *SLOW])
def test_slow_is_504(gateway: Gateway, name: str, method: str) -> None:
    """Expected: slow to accept, no head, half a head: 504 upstream_timeout as problem+json, and an event."""
    with gateway.client() as client:
        answer = client.request(method, f"/{name}/{method}")
    assert answer.status_code == 504
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "upstream_timeout"
    wait_for(lambda: failures(gateway, f"/{name}/{method}") == {"upstream_timeout": 1})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_accepted_goes_elsewhere(gateway: Gateway, backend: Backend, method: str) -> None:
    """Expected: nothing was sent to who does not accept, so that any method goes to another server, once."""
    with gateway.client() as client:
        targets = [f"/half/{method}{number}" for number in range(4)]
        assert [client.request(method, target).status_code for target in targets] == [200] * 4
    seen = Counter(request.target for request in backend.requests)
    assert [seen[target] for target in targets] == [1] * 4


def test_a_service_that_reads_no_body_is_504(gateway: Gateway) -> None:
    """Expected: a body that nobody takes is 504, as no answer comes either."""
    with gateway.client() as client:
        answer = client.post("/head/body", content=b"x" * 8_000_000)
    assert answer.status_code == 504
    assert answer.json()["code"] == "upstream_timeout"


def test_a_drip_that_is_never_late_is_whole(gateway: Gateway) -> None:
    """Expected: the time-out is for one read; a stream may last as long as it likes."""
    with gateway.client() as client:
        assert client.get("/drip/0").text == "." * 10
    line = gateway.wait_for_access(lambda line: line["path"] == "/drip/0")
    assert line["verdict"] == "passed"
    assert line["duration"] > READ_TIMEOUT


def test_cuts_under_load_are_all_seen_and_all_told(
    gateway: Gateway, bounds: Bounds, figures: Figures
) -> None:
    """Expected: every second answer is cut; each is a cut to its client and one event, and no other is."""
    port = port_of(gateway, tls=False)
    with Traffic(port, get("/mixed"), connections=16) as traffic:
        traffic.await_answers(bounds.answers)
    tally = traffic.tally
    cut = sum(number % 2 for number in range(tally.sent))
    assert tally.statuses == {200: tally.sent - cut}
    assert {loss.number % 2 for loss in tally.losses} == {1}
    assert {loss.kind for loss in tally.losses} == {"cut"}
    wait_for(lambda: failures(gateway, "/mixed/")["upstream_cut_off"] >= cut)
    figures.update(tally.figures())
    figures["events"] = failures(gateway, "/mixed/")["upstream_cut_off"]
    assert figures["events"] == cut == len(tally.losses)


def test_cuts_within_one_connection_of_http2(gateway: Gateway, bounds: Bounds, figures: Figures) -> None:
    """Expected: a cut answer is the end of its stream; the others of the same connection are whole."""
    count = bounds.answers // 4
    with Connection(port_of(gateway), gateway.context()) as connection:
        for start in range(0, count, 50):
            numbers = range(start, start + 50)
            streams = {number: connection.send(request(f"/mixed2/{number}")) for number in numbers}
            answers = {number: connection.await_answer(stream) for number, stream in streams.items()}
            assert {number: answer.whole for number, answer in answers.items()} == {
                number: number % 2 == 0 for number in numbers
            }
        assert not connection.ended
    figures["streams"] = count
    figures["cut"] = count // 2


def test_nobody_else_waits_for_a_slow_service(gateway: Gateway, bounds: Bounds, figures: Figures) -> None:
    """Expected: while hundreds wait for a slow service, others are answered, and the slow ones in time."""
    # As many as the services of the tests, which are one process of Python, can serve beside the others.
    port, crowd = port_of(gateway, tls=False), min(bounds.slow_clients, 300)
    with (
        Traffic(port, get("/head"), connections=crowd) as slow,
        Traffic(port, get("/quick"), connections=8) as quick,
    ):
        quick.await_answers(bounds.answers // 20)
        slow.await_answers(crowd)
    assert set(quick.tally.statuses) == {200}
    assert set(slow.tally.statuses) == {504}
    assert not quick.tally.losses + slow.tally.losses
    figures["quick_answers_200"] = quick.tally.answered
    figures["slow_answers_504"] = slow.tally.answered
    figures["lost"] = 0


def test_nothing_is_left_behind(gateway: Gateway) -> None:
    """Expected: every slot of the concurrency limit is given back once the slow ones are gone."""
    with gateway.client() as client:
        assert client.get("/after/all").status_code == 200

    def held() -> float:
        return parse(httpx.get(f"{gateway.operator}/metrics").text)["bartizan_concurrency_held"].value()

    wait_for(lambda: held() == 0)
