"""tests/support/traffic.py: what it counts is what the service did."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.backend import Backend, Request, Response, takeover
from tests.support.gateway import wait_for
from tests.support.ports import free_port
from tests.support.traffic import Loss, Traffic, get

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"


def number_of(request: Request) -> int:
    return int(request.target.rpartition("/")[2])


def respond(request: Request) -> Response:
    """Answer, cut the answer off, close without one, refuse, or answer and close: by the number."""
    match number_of(request) % 5:
        case 0:
            return Response()
        case 1:
            return takeover(WHOLE + b"\r\nok")
        case 2:
            return takeover()
        case 3:
            return Response(status=503)
        case _:
            return takeover(WHOLE + b"Connection: close\r\n\r\nok\n")


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend(respond) as running:
        yield running


@pytest.mark.parametrize("connections", [1, 5])
def test_each_request_has_its_outcome(backend: Backend, connections: int) -> None:
    with Traffic(backend.port, get("/some"), connections=connections) as traffic:
        traffic.await_answers(60)
    tally = traffic.tally
    seen = [number_of(request) for request in backend.requests]
    assert sorted(seen) == list(range(tally.sent))
    assert tally.statuses == {
        200: sum(number % 5 in {0, 4} for number in seen),
        503: sum(number % 5 == 3 for number in seen),
    }
    assert {(loss.number, loss.kind) for loss in tally.losses} == {
        (number, {1: "cut", 2: "unanswered"}[number % 5]) for number in seen if number % 5 in {1, 2}
    }
    assert tally.sent == tally.answered + len(tally.losses)
    # A connection ends with each loss, and where its answer says so.
    assert len({request.connection for request in backend.requests}) <= tally.connections
    if connections == 1:
        assert all(loss.kept == (loss.number % 5 == 1) for loss in tally.losses)


def test_a_client_opens_another_connection_as_often_as_it_is_told(backend: Backend) -> None:
    backend.respond = lambda _: Response()
    with Traffic(backend.port, get("/some"), connections=1, each=2) as traffic:
        traffic.await_answers(20)
    assert traffic.tally.losses == []
    # The last one may have been opened when enough was asked already.
    assert traffic.tally.connections - (traffic.tally.sent + 1) // 2 in {0, 1}


def test_silence_has_an_end(backend: Backend) -> None:
    enough = threading.Event()

    def keep_silent(_: socket.socket) -> None:
        enough.wait(30)

    backend.respond = lambda _: takeover(b"HTTP", then=keep_silent)
    with Traffic(backend.port, get("/some"), connections=1, patience=0.2) as traffic:
        wait_for(lambda: traffic.tally.losses)
    enough.set()
    assert {loss.kind for loss in traffic.tally.losses} == {"silent"}
    assert isinstance(traffic.tally.losses[0], Loss)


def test_nobody_listens() -> None:
    with Traffic(free_port(), get("/some"), connections=2) as traffic:
        traffic.await_refusals(4)
    assert traffic.tally.sent == 0


def test_its_own_failure_is_not_swallowed(backend: Backend) -> None:
    def broken(_: int) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as failure, Traffic(backend.port, broken, connections=1) as traffic:
        wait_for(lambda: not traffic.running)
    assert failure.group_contains(ZeroDivisionError)
