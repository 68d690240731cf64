"""Many connections from one address that do nothing, or nothing whole: others are served beside them."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.faults.service import assert_served, connections, good_traffic, plain_policy
from tests.support.backend import Backend
from tests.support.crowd import Crowd
from tests.support.gateway import Gateway, wait_for
from tests.support.listening import answer
from tests.support.memory import private_bytes
from tests.support.raw import count_responses
from tests.support.wire import port_of

PATIENCE = 90
HALF_HEAD = b"GET /slow HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n"
REQUEST = b"GET /idle HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(plain_policy(backend)) as running:
        workers = running.worker_pids()
        yield running
        assert running.worker_pids() == workers, "a worker had to be started again"


def test_half_heads_of_one_address(gateway: Gateway, bounds: Bounds, figures: Figures) -> None:
    """Expected: there is room for them, so that others are served, and so is the same address.

    They are not in sight of a limit: nginx knows of a request, and whose it is, when its head is whole. After
    10 s all are ended.
    """
    with (
        good_traffic(gateway) as good,
        good_traffic(gateway, "127.0.0.20") as neighbours,
        Crowd(port_of(gateway, tls=False), bounds.half_heads, source="127.0.0.20", first=HALF_HEAD) as crowd,
    ):
        figures["open_at_once"] = connections(gateway)
        good.await_answers(50)
        neighbours.await_answers(50)
        figures["of_them_after_50_answers"] = crowd.still_open()
        crowd.await_end(PATIENCE)
    figures |= good.tally.figures()
    for clients in (good, neighbours):
        assert_served(clients)
    wait_for(lambda: connections(gateway) == 0)


def test_more_of_them_than_there_is_room_for(backend: Backend, bounds: Bounds, figures: Figures) -> None:
    """Expected: connections that have not sent anything yet, or idle, are given up for new ones.

    So others are served less well, but served. No worker ends, and no answer is cut. All are served again
    when the half heads are gone.
    """
    few = 900
    room = 2 * (few * 2 // 3)  # of two workers; see bartizan/render/configuration.py
    with Gateway(plain_policy(backend), open_files=few) as gateway:
        # The chores of a worker need a connection for a moment, too; they come round every second.
        gateway.expect_error("worker_connections are not enough|could not create fake connection")
        workers = gateway.worker_pids()
        with good_traffic(gateway) as good:
            good.await_answers(20)
            port = port_of(gateway, tls=False)
            with Crowd(port, room + bounds.slow_clients, source="127.0.0.20", first=HALF_HEAD) as crowd:
                figures |= {"room": room, "clients": crowd.size, "open_at_once": connections(gateway)}
                good.await_answers(30)
                if bounds.patient:
                    crowd.await_end(PATIENCE)
        figures |= good.tally.figures()
        assert {200} <= set(good.tally.statuses) <= {200, 503}  # see the next test
        assert {loss.kind for loss in good.tally.losses} <= {"unanswered"}
        with good_traffic(gateway) as good:
            good.await_answers(50)
        assert_served(good)
        assert gateway.worker_pids() == workers


def fill(gateway: Gateway, crowds: ExitStack) -> None:
    """Open half heads until no more are taken, several times in a row."""
    port = port_of(gateway, tls=False)
    refused = 0
    crowds.enter_context(Crowd(port, 150, source="127.0.0.20", first=HALF_HEAD))
    while refused < 3:
        before = connections(gateway)
        one = crowds.enter_context(Crowd(port, 1, source="127.0.0.20", first=HALF_HEAD))
        if wait_for(partial(taken_or_refused, gateway, before, one)) == "refused":
            refused += 1
        else:
            refused = 0


def taken_or_refused(gateway: Gateway, before: int, one: Crowd) -> str | None:
    """Say what became of one more connection, as soon as that is known."""
    if not one.still_open():
        return "refused"
    return "taken" if connections(gateway) > before else None


def test_no_connection_left_for_the_upstream(backend: Backend, figures: Figures) -> None:
    """Expected: 503 with Retry-After, as the request was not forwarded; served again when there is room."""
    backend.forget()
    with Gateway(plain_policy(backend, workers=1), open_files=300) as gateway:
        gateway.expect_error("worker_connections are not enough|could not create fake connection")
        port = port_of(gateway, tls=False)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as early:
            early.sendall(HALF_HEAD)
            wait_for(lambda: connections(gateway) == 1)
            with ExitStack() as crowds:
                fill(gateway, crowds)
                figures["open_at_once"] = connections(gateway)
                early.sendall(b"\r\n")
                received = b""
                while not count_responses(received) and (chunk := early.recv(65536)):
                    received += chunk
            status, fields, body = answer(received)
            assert (status, fields["retry-after"]) == (503, "5")
            assert json.loads(body)["code"] == "upstream_unavailable"
            assert backend.requests == []
            event = gateway.wait_for_audit(lambda event: event["status"] == 503)
            assert event["reason"] == "no connection of this worker was left for the upstream"
        with good_traffic(gateway) as good:
            good.await_answers(20)
    assert_served(good)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_idle(backend: Backend, bounds: Bounds, figures: Figures, *, tls: bool) -> None:
    """Expected: kept connections cost little memory, and others are served beside them.

    All end with the time-out of a minute, or at once when the gateway is told to stop.
    """
    size = bounds.idle_connections
    with Gateway(plain_policy(backend)) as gateway:
        with good_traffic(gateway) as good:
            good.await_answers(200)
        before = private_bytes(gateway.worker_pids())
        context = gateway.context() if tls else None
        port = port_of(gateway, tls=tls)
        with Crowd(port, size, source="127.0.0.21", first=REQUEST, tls=context) as crowd:
            with good_traffic(gateway) as good:
                assert crowd.await_answers(b"\r\n\r\nok\n") == size
                good.await_answers(50)
                assert crowd.still_open() == size
                each = (private_bytes(gateway.worker_pids()) - before) / size
                figures |= {"idle": size, "open_at_once": connections(gateway), "bytes_each": round(each)}
                if bounds.patient:
                    figures["seconds_until_all_ended"] = crowd.await_end(2 * PATIENCE)
                    good.await_answers(50)
            figures |= good.tally.figures()
            gateway.process.terminate()
            assert gateway.process.wait(PATIENCE) == 0
            crowd.await_end(PATIENCE)
    assert each < 64 * 1024
    assert_served(good)
