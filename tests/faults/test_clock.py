"""A wall clock that jumps by hours, forward and back, under load.

Limits and the schedule of key fetches follow the monotonic clock and don't notice; tokens are judged by the
wall clock, whatever it says; the logs tell its time; nobody crashes, and every worker goes on being ready.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any, Final

import httpx
import pytest

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.support.backend import Backend, Request, Response
from tests.support.exactness import worst_excess
from tests.support.exposition import parse
from tests.support.flood import flood
from tests.support.gateway import Gateway, wait_for
from tests.support.key_server import KeyServer, accepts, ask, fresh_issuer, one, statuses, until
from tests.support.wall_clock import WallClock
from tests.support.wire import port_of

HOUR: Final = 3600
# Forward, back to the time that it is, back further, and forward again.
JUMPS: Final = (6 * HOUR, 0, -6 * HOUR, 0)
LIMIT, BURST = 200, 20
MAX_AGE: Final = 5


@pytest.fixture(scope="module")
def clock() -> Iterator[WallClock]:
    with WallClock() as made:
        yield made


@pytest.fixture(autouse=True)
def right(clock: WallClock) -> None:
    """Begin with the time that it is."""
    clock.set(0)


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


@pytest.fixture(scope="module")
def keys() -> Iterator[KeyServer]:
    with KeyServer(fresh_issuer(), max_age=MAX_AGE) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: Backend, keys: KeyServer, clock: WallClock) -> Iterator[Gateway]:
    rules: dict[str, Any] = one(backend, keys) | {"workers": 2, "listen": {"http": {"redirect": False}}}
    # The wall clock is what is tested, so no skew is forgiven that would hide it.
    rules["issuers"]["one"]["skew"] = "0s"
    limits = {"rate": {"limit": f"{LIMIT}/s", "burst": BURST}, "concurrency": {"limit": 10_000}}
    rules["routes"].append({"prefix": "/t", "methods": ["GET"], "upstream": "data", "auth": "none", **limits})
    with Gateway(rules, environment=clock.environment) as running:
        until(lambda: accepts(running, keys.issuer.token()), "the keys come")
        yield running


def is_ready(gateway: Gateway) -> bool:
    return httpx.get(f"{gateway.operator}/readyz").status_code == 200


def test_limits_do_not_follow_it(
    gateway: Gateway, backend: Backend, clock: WallClock, bounds: Bounds, figures: Figures
) -> None:
    """Expected: in no span of time more than burst + rate * t, by the gateway's stamps; and never shut."""
    stop = threading.Event()
    workers = gateway.worker_pids()
    backend.forget()

    def keep_flooding() -> int:
        answers = 0
        while not stop.is_set():
            answers += flood(port_of(gateway, tls=False), "/t/x", seconds=0.1, connections=16)
            time.sleep(0.2)  # enough to empty the bucket, and not too much to read
        return answers

    jumps = 0
    with ThreadPoolExecutor(1) as pool:
        flooding = pool.submit(keep_flooding)
        try:
            for seconds in JUMPS * bounds.rounds:
                goal = len(backend.requests) + LIMIT // 2
                clock.set(seconds)
                jumps += 1
                # Neither closed for hours, nor for ever open.
                wait_for(partial(has_passed, backend, goal))
                assert is_ready(gateway)
        finally:
            stop.set()
        answers = flooding.result()
    assert gateway.worker_pids() == workers
    came = len(backend.requests)
    wait_for(lambda: sum(passed(line) for line in gateway.access()) >= came)
    stamps = sorted(int(line["decided"]) for line in gateway.access() if passed(line))
    excess = worst_excess(stamps, BURST, Fraction(1_000_000, LIMIT))
    figures["jumps"] = jumps
    figures["answers"] = answers
    figures["passed"] = len(stamps)
    figures["worst_excess_of_the_limit"] = float(excess)
    assert excess <= 0


def has_passed(backend: Backend, count: int) -> bool:
    return len(backend.requests) >= count


def passed(line: dict[str, Any]) -> bool:
    return bool(line["path"] == "/t/x" and line["verdict"] == "passed")


def test_tokens_follow_it(gateway: Gateway, keys: KeyServer, clock: WallClock, bounds: Bounds) -> None:
    """Expected: exp, nbf and iat are judged by the clock as it is, also of a token that is remembered."""
    now = int(time.time())
    tokens = {
        "for an hour": keys.issuer.token(exp=now + HOUR),
        "for a day": keys.issuer.token(exp=now + 24 * HOUR),
        "from in three hours on": keys.issuer.token(nbf=now + 3 * HOUR, exp=now + 24 * HOUR),
        "since yesterday": keys.issuer.token(iat=now - 24 * HOUR, exp=now + 24 * HOUR),
        "until an hour ago": keys.issuer.token(iat=now - 24 * HOUR, exp=now - HOUR),
    }
    good = {
        6 * HOUR: {"for a day", "from in three hours on", "since yesterday"},
        0: {"for an hour", "for a day", "since yesterday"},
        # What was issued just now comes from the future.
        -6 * HOUR: {"since yesterday", "until an hour ago"},
    }
    for seconds in JUMPS * bounds.rounds:
        clock.set(seconds)
        wait_for(partial(tells, gateway, seconds))
        for name, token in tokens.items():
            # Connections of their own, so that both workers have a say.
            answers = {ask(gateway, token).status_code for _ in range(4)}
            assert answers == {200 if name in good[seconds] else 401}, f"{name}, at {seconds:+d} s"


def tells(gateway: Gateway, seconds: int) -> bool:
    """Whether nginx's clock is so far off: its answers have a date."""
    date = httpx.head(f"{gateway.operator}/readyz").headers["Date"]
    told = time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
    return abs(told - time.time() - seconds) < HOUR


def test_logs_follow_it(gateway: Gateway, clock: WallClock) -> None:
    """Expected: both logs and the answers tell the time that it is said to be; no duration is negative."""
    for seconds in JUMPS:
        clock.set(seconds)
        wait_for(partial(tells, gateway, seconds))
        with gateway.client() as client:
            answer = client.get(f"/nowhere/{seconds}")
        assert answer.status_code == 404
        begun = time.time() + seconds
        wanted = answer.json()["request_id"]
        line = gateway.wait_for_access(partial(is_of, wanted))
        event = gateway.wait_for_audit(partial(is_of, wanted))
        told = (line["timestamp"], at(line["time"]), at(event["time"]))
        assert all(abs(stamp - begun) < HOUR for stamp in told), told
    assert all(line["duration"] >= 0 for line in gateway.access())
    durations = parse(httpx.get(f"{gateway.operator}/metrics").text)["bartizan_request_duration_seconds"]
    assert durations.value("_sum") >= 0


def is_of(request_id: str, line: dict[str, Any]) -> bool:
    return bool(line["request_id"] == request_id)


def at(text: str) -> float:
    """Return the time that a log's text tells, in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


class Slow:
    """A backend whose answers to `/t/over` wait until they may go."""

    def __init__(self) -> None:
        self.came, self.go_on = threading.Event(), threading.Event()

    def respond(self, request: Request) -> Response:
        if request.target.startswith("/t/over"):
            self.came.set()
            self.go_on.wait(30)
        return Response()


@pytest.mark.parametrize(("before", "seconds"), [(0, 6 * HOUR), (6 * HOUR, 0)], ids=["forward", "back"])
def test_a_request_over_a_jump_ends_well(
    gateway: Gateway, backend: Backend, clock: WallClock, before: int, seconds: int
) -> None:
    """Expected: a jump within a request is neither a time-out nor a time of less than nothing."""
    path = f"/t/over/{seconds}"
    clock.set(before)
    wait_for(partial(tells, gateway, before))
    slow, usual = Slow(), backend.respond
    backend.respond = slow.respond
    try:
        with ThreadPoolExecutor(1) as pool, gateway.client() as client:
            asking = pool.submit(client.get, path)
            assert slow.came.wait(30)
            clock.set(seconds)
            wait_for(partial(tells, gateway, seconds))
            slow.go_on.set()
            assert asking.result().status_code == 200
    finally:
        backend.respond = usual
    line = gateway.wait_for_access(lambda line: line["path"] == path)
    assert line["duration"] >= 0
    assert line["verdict"] == "passed"


def test_key_fetches_do_not_follow_it(
    gateway: Gateway, keys: KeyServer, clock: WallClock, bounds: Bounds, figures: Figures
) -> None:
    """Expected: fetches go on at their pace, neither more often (a storm) nor later (a stall)."""
    begun, before = time.monotonic(), len(keys.server.requests)
    times = [begun]
    for seconds in JUMPS * bounds.rounds if bounds.patient else JUMPS[:2]:
        count = len(keys.server.requests)
        clock.set(seconds)
        # Tokens of a key that nobody knows bring one fetch forward a minute, whatever time it is.
        for number in range(5):
            token = keys.issuer.forge({"header": {"kid": f"unknown-{number}"}})
            assert ask(gateway, token).status_code == 401
        until(partial(has_passed, keys.server, count + 1), "a fetch")
        times.append(time.monotonic())
        assert statuses(gateway)["one"]["failures"] == 0
    elapsed, fetches = times[-1] - begun, len(keys.server.requests) - before
    figures["fetches"] = fetches
    figures["seconds"] = elapsed
    figures["longest_wait_for_a_fetch_seconds"] = max(later - sooner for sooner, later in pairwise(times))
    # One each 4.5 s at the soonest; and of those asked for, one a minute.
    assert fetches <= elapsed / (MAX_AGE * 0.9) + 1 + elapsed / 60 + 1
