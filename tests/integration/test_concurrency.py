"""The concurrency guard at a running gateway: never one too many, and all slots come back."""

import os
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
import pytest

from tests.support import issuer
from tests.support.backend import Backend, Request, Response
from tests.support.flood import flood
from tests.support.gateway import Gateway
from tests.support.raw import status_of

PATIENCE = 40.0
LIMITS: dict[str, dict[str, Any]] = {
    "fifty": {"limit": 50},
    "two": {"limit": 2},
    "line": {"limit": 2, "wait": 3, "wait_time": "60s"},
    "short": {"limit": 1, "wait": 1, "wait_time": "200ms"},
    "header": {"limit": 1, "by": "header:X-Api-Key"},
    "observed": {"limit": 2, "mode": "observe"},
    "cut": {"limit": 2},
    "away": {"limit": 2},
    "token": {"limit": 2},
}


class Doors:
    """A backend that keeps requests inside until its doors are opened.

    It counts a request as inside from when it came until just before it is answered: what it counts is never
    more than what the gateway has forwarded at that moment.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = True
        self.inside = 0
        self.most = 0

    def respond(self, request: Request) -> Response:
        if request.target == "/jwks":
            return Response(headers=(("Content-Type", "application/json"),), body=issuer.jwks("ES256"))
        if request.target == "/cut":
            return Response(takeover=lambda connection: connection.shutdown(socket.SHUT_RDWR))
        with self._changed:
            self.inside += 1
            self.most = max(self.most, self.inside)
            assert self._changed.wait_for(lambda: self._open, PATIENCE)
            self.inside -= 1
        return Response()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Keep the doors closed while the block runs."""
        with self._changed:
            self._open, self.most = False, 0
        try:
            yield
        finally:
            with self._changed:
                self._open = True
                self._changed.notify_all()


class Caller:
    """A client with one request under way."""

    def __init__(self, gateway: Gateway, name: str, **headers: str) -> None:
        port = int(gateway.http.rpartition(":")[2])
        lines = [f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items()]
        request = f"GET /{name} HTTP/1.1\r\nHost: localhost\r\n{''.join(lines)}Connection: close\r\n\r\n"
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.sendall(request.encode())

    def answer(self) -> int | None:
        """Wait for the answer and return its status, or None if the connection ended without one."""
        received = b""
        with self._socket as connection:
            try:
                while chunk := connection.recv(65536):
                    received += chunk
            except ConnectionError:
                return None
        return status_of(received) if received else None

    def answered(self) -> bool:
        """Tell whether an answer came, or the end of the connection."""
        self._socket.setblocking(False)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self._socket.settimeout(PATIENCE)
        return True

    def vanish(self) -> None:
        """Reset the connection, as the system of a killed client does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def policy(backend: Backend) -> dict[str, Any]:
    token = {"issuer": "issuer", "audience": issuer.AUDIENCE, "scopes": []}
    return {
        "listen": {"https": "off", "http": {"redirect": False}},
        "workers": 2,
        "issuers": {
            "issuer": {"issuer": issuer.ISSUER, "jwks": f"{backend.url}/jwks", "algorithms": ["ES256"]}
        },
        "upstreams": {
            "data": {"servers": [backend.url]},
            "away": {"servers": ["http://127.0.0.1:9"]},
        },
        "defaults": {"body": "1KiB", "rate": {"limit": "100000/s", "burst": 100_000}},
        "routes": [
            {
                "path": f"/{name}",
                "methods": ["GET"],
                "upstream": "away" if name == "away" else "data",
                "auth": token if name == "token" else "none",
                "concurrency": limit,
            }
            for name, limit in LIMITS.items()
        ],
    }


@pytest.fixture(scope="module")
def doors() -> Doors:
    return Doors()


@pytest.fixture(scope="module")
def backend(doors: Doors) -> Iterator[Backend]:
    with Backend(doors.respond) as backend:
        yield backend


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend)) as gateway:
        gateway.expect_error(r"worker process \d+ exited on signal 9")
        gateway.expect_error(r"upstream prematurely closed|connect\(\) failed|no live upstreams")
        yield gateway


def gauge(gateway: Gateway, name: str) -> int:
    text = httpx.get(f"{gateway.operator}/metrics", timeout=20).text
    found = re.search(rf"^bartizan_concurrency_{name} (\d+)$", text, re.MULTILINE)
    assert found is not None, text
    return int(found[1])


@pytest.fixture(autouse=True)
def all_slots_come_back(gateway: Gateway) -> Iterator[None]:
    """Whatever a test did: in the end nothing is held, and nobody waits."""
    yield
    eventually(lambda: (gauge(gateway, "held"), gauge(gateway, "waiting")) == (0, 0))


def call(gateway: Gateway, name: str, count: int) -> list[Caller]:
    return [Caller(gateway, name) for _ in range(count)]


def split(callers: list[Caller]) -> tuple[list[Caller], list[Caller]]:
    """Tell those who wait for an answer from those who have one."""
    answered = [caller for caller in callers if caller.answered()]
    return [caller for caller in callers if caller not in answered], answered


def settle(callers: list[Caller], answered: int) -> tuple[list[Caller], list[Caller]]:
    """Wait until so many have an answer, and split them from those who don't."""
    eventually(lambda: len(split(callers)[1]) == answered)
    return split(callers)


def call_inside(gateway: Gateway, doors: Doors, name: str, count: int) -> list[Caller]:
    """Call, and wait until all are in the backend."""
    before = doors.inside
    callers = call(gateway, name, count)
    eventually(lambda: doors.inside == before + count)
    return callers


def test_the_limit_is_what_is_forwarded_at_once(gateway: Gateway, doors: Doors) -> None:
    for _ in range(2):
        with doors.closed():
            inside, refused = settle(call(gateway, "fifty", 120), 70)
            eventually(lambda: doors.inside == 50)
            assert gauge(gateway, "held") == 50
            assert {caller.answer() for caller in refused} == {429}
        assert {caller.answer() for caller in inside} == {200}
        assert doors.most == 50


def test_it_holds_while_requests_come_and_go(gateway: Gateway, doors: Doors, backend: Backend) -> None:
    doors.most = 0
    backend.forget()
    port = int(gateway.http.rpartition(":")[2])
    flood(port, "/two", seconds=1, batch=1)
    assert 1 <= doors.most <= 2
    assert len(backend.requests) > 20


def test_the_refusal_says_when_to_come_back(gateway: Gateway, doors: Doors) -> None:
    with doors.closed():
        inside = call(gateway, "two", 2)
        eventually(lambda: doors.inside == 2)
        refused = httpx.get(f"{gateway.http}/two")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "concurrency_limited"
    event = gateway.wait_for_audit(lambda event: event["request_id"] == refused.headers["X-Request-Id"])
    assert event["reason"] == "more than 2 at once by address"
    assert [caller.answer() for caller in inside] == [200, 200]


def test_an_allowance_waits_inside_until_others_leave(gateway: Gateway, doors: Doors) -> None:
    with doors.closed():
        staying, refused = settle(call(gateway, "line", 7), 2)
        eventually(lambda: doors.inside == 2)
        assert (gauge(gateway, "held"), gauge(gateway, "waiting")) == (2, 3)
        assert [caller.answer() for caller in refused] == [429, 429]
    assert [caller.answer() for caller in staying] == [200] * 5
    assert doors.most == 2
    gateway.wait_for_audit(
        lambda event: event["reason"] == "more than 2 at once by address, and 3 wait already"
    )


def test_the_wait_ends_in_time(gateway: Gateway, doors: Doors) -> None:
    with doors.closed():
        inside = Caller(gateway, "short")
        eventually(lambda: doors.inside == 1)
        assert Caller(gateway, "short").answer() == 429
        assert not inside.answered()
    assert inside.answer() == 200
    expected = "more than 1 at once by address, for 0.2 seconds"
    gateway.wait_for_audit(lambda event: event["reason"] == expected)


def test_each_value_of_a_header_has_slots_of_its_own(gateway: Gateway, doors: Doors) -> None:
    with doors.closed():
        inside = [Caller(gateway, "header", X_Api_Key=value) for value in ("a", "b")] + call(
            gateway, "header", 1
        )
        eventually(lambda: doors.inside == 3)
        refused = [Caller(gateway, "header", X_Api_Key="a"), Caller(gateway, "header")]
        assert [caller.answer() for caller in refused] == [429, 429]
    assert [caller.answer() for caller in inside] == [200] * 3


def test_observing_counts_and_refuses_nothing(gateway: Gateway, doors: Doors) -> None:
    with doors.closed():
        callers = call(gateway, "observed", 4)
        eventually(lambda: doors.inside == 4)
        assert gauge(gateway, "held") == 4
    assert [caller.answer() for caller in callers] == [200] * 4
    observed = [event for event in gateway.audit() if event["decision"] == "observed"]
    assert [event["code"] for event in observed] == ["concurrency_limited"] * 2


def test_slots_of_clients_that_vanish_are_given_back(gateway: Gateway, doors: Doors) -> None:
    with doors.closed():
        for caller in call_inside(gateway, doors, "fifty", 50):
            caller.vanish()
        eventually(lambda: gauge(gateway, "held") == 0)
        again = call_inside(gateway, doors, "fifty", 50)
        assert Caller(gateway, "fifty").answer() == 429
    assert {caller.answer() for caller in again} == {200}


def test_places_of_clients_that_vanish_in_line_are_given_back(gateway: Gateway, doors: Doors) -> None:
    with doors.closed():
        inside = call_inside(gateway, doors, "line", 2)
        waiting = call(gateway, "line", 3)
        eventually(lambda: gauge(gateway, "waiting") == 3)
        for caller in waiting:
            caller.vanish()
    assert [caller.answer() for caller in inside] == [200, 200]
    assert Caller(gateway, "line").answer() == 200


@pytest.mark.parametrize(("name", "status"), [("token", 401), ("away", 502), ("cut", 502)])
def test_slots_are_given_back_when_it_ends_badly(gateway: Gateway, name: str, status: int) -> None:
    """Refused by a later guard; an upstream that is not there; one that closes without an answer."""
    assert [Caller(gateway, name).answer() for _ in range(5)] == [status] * 5


def test_slots_of_a_killed_worker_are_given_back(gateway: Gateway, doors: Doors) -> None:
    with doors.closed():
        callers = call_inside(gateway, doors, "fifty", 50)
        old = gateway.worker_pids()
        os.kill(old[0], signal.SIGKILL)
        eventually(lambda: len(gateway.worker_pids()) == 2 and old[0] not in gateway.worker_pids())
        left = gauge(gateway, "held")
        assert 0 < left < 50
        staying, lost = settle(callers, 50 - left)
        again = call_inside(gateway, doors, "fifty", 50 - left)
        assert Caller(gateway, "fifty").answer() == 429
        assert gauge(gateway, "held") == 50
        assert {caller.answer() for caller in lost} == {None}
    assert {caller.answer() for caller in staying + again} == {200}


def test_slots_of_workers_that_a_reload_replaced_still_count(gateway: Gateway, doors: Doors) -> None:
    with doors.closed():
        inside = call_inside(gateway, doors, "two", 2)
        old = set(gateway.worker_pids())
        gateway.reload()
        eventually(lambda: len(gateway.worker_pids()) == 2 and not old & set(gateway.worker_pids()))
        assert Caller(gateway, "two").answer() == 429
        assert gauge(gateway, "held") == 2
    assert [caller.answer() for caller in inside] == [200, 200]
    with doors.closed():
        again = call_inside(gateway, doors, "two", 2)
    assert [caller.answer() for caller in again] == [200, 200]


def test_slots_of_a_killed_worker_that_nobody_replaces_are_given_back(gateway: Gateway, doors: Doors) -> None:
    """An old worker that still ends after a reload has no successor in its place."""
    with doors.closed():
        inside = call_inside(gateway, doors, "two", 2)
        old = gateway.worker_pids()
        gateway.reload()
        eventually(lambda: len(gateway.worker_pids()) == 2 and not set(old) & set(gateway.worker_pids()))
        assert Caller(gateway, "two").answer() == 429
        for pid in filter(psutil.pid_exists, old):
            os.kill(pid, signal.SIGKILL)
        # A process that is killed may live on for a moment, and what it holds with it.
        eventually(lambda: not any(map(psutil.pid_exists, old)))
        again = call_inside(gateway, doors, "two", 2)
        assert Caller(gateway, "two").answer() == 429
    assert [caller.answer() for caller in inside] == [None, None]
    assert [caller.answer() for caller in again] == [200, 200]
