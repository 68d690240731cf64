"""The rate limit is exact, by the gateway's own decision stamps, under all that two workers can take."""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.support.backend import Backend
from tests.support.exactness import worst_excess
from tests.support.flood import flood
from tests.support.gateway import Gateway, wait_for

TRIALS = 20
MOST_FLOODS = 60
LIMIT, BURST = 200, 100
INTERVAL = Fraction(1_000_000, LIMIT)
LINE = re.compile(rb'"verdict":"(\w*)","decided":"(\d+)","worker":(\d+).*"path":"(/[a-z0-9]+)"')


@dataclass(frozen=True, order=True)
class Decision:
    """One decision of the rate limit: when, by which worker, and what."""

    stamp: int
    passed: bool
    worker: int


@pytest.fixture
def gateway(backend: Backend) -> Iterator[Gateway]:
    # A route a flood, each with a full bucket. The concurrency limit is there, and never reached.
    limits = {"rate": {"limit": f"{LIMIT}/s", "burst": BURST}, "concurrency": {"limit": 10_000}}
    route = {"methods": ["GET"], "upstream": "data", "auth": "none", **limits}
    policy: dict[str, Any] = {
        "listen": {"https": "off", "http": {"redirect": False}},
        "workers": 2,
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {"body": "1KiB"},
        "routes": [{"path": f"/t{i}", **route} for i in range(MOST_FLOODS)],
    }
    with Gateway(policy) as gateway:
        yield gateway


def port(gateway: Gateway) -> int:
    return int(gateway.http.rpartition(":")[2])


def decisions(gateway: Gateway, least: int) -> dict[str, list[Decision]]:
    """Read all decisions by path, once nothing more is written."""
    os.kill(gateway.master, signal.SIGUSR1)  # workers write out what they have and open their logs again
    log = gateway.state / "log" / "access.jsonl"
    deadline = time.monotonic() + 60
    sizes = [-1, size(log)]
    while sizes[-1] != sizes[-2] or log.read_bytes().count(b"\n") < least:
        assert time.monotonic() < deadline, "the access log lacks lines"
        time.sleep(1.1)  # a buffer is written after a second at the latest
        sizes.append(size(log))
    found: dict[str, list[Decision]] = {}
    for line in log.read_bytes().splitlines():
        match = LINE.search(line)
        assert match is not None, line
        verdict, stamp, worker, path = match.groups()
        decision = Decision(int(stamp), verdict != b"rate_limited", int(worker))
        found.setdefault(path.decode(), []).append(decision)
    return {path: sorted(of_path) for path, of_path in found.items()}


def size(log: Path) -> int:
    return log.stat().st_size


def forfeited(stamps: list[int], until: int) -> Fraction:
    """Tell how much credit ran over while the bucket was full, because nobody came."""
    credit, lost, last = Fraction(BURST), Fraction(0), stamps[0]
    for stamp in [*stamps, until]:
        credit += (stamp - last) / INTERVAL
        lost += max(Fraction(0), credit - BURST)
        credit = min(credit, Fraction(BURST)) - 1
        last = stamp
    return lost


def shared_out(made: list[Decision]) -> bool:
    """Tell whether each of the two workers made at least a fifth of the decisions."""
    counts = Counter(decision.worker for decision in made)
    return len(counts) == 2 and min(counts.values()) >= len(made) / 5


def judge(path: str, made: list[Decision]) -> None:
    passed = [decision.stamp for decision in made if decision.passed]
    assert worst_excess(passed, BURST, INTERVAL) <= 0, path
    # At the moment of a refusal there is less than one request's credit: all else was given out.
    refused = max(decision.stamp for decision in made if not decision.passed)
    span = refused - made[0].stamp
    assert span >= 1_000_000, path
    given = sum(1 for stamp in passed if stamp <= refused)
    bound = BURST + span / INTERVAL
    assert bound - 1 - forfeited(passed, refused) <= given <= bound, path


@pytest.mark.timeout(300)
def test_twenty_trials(gateway: Gateway) -> None:
    """Every flood is judged; one in which a busy machine held a worker back is no trial, and is repeated."""
    answers, floods, trials = 0, 0, 0
    while trials < TRIALS and floods < MOST_FLOODS:
        for _ in range(min(TRIALS - trials, MOST_FLOODS - floods)):
            answers += flood(port(gateway), f"/t{floods}", seconds=1.15)
            floods += 1
        found = decisions(gateway, answers)
        assert set(found) == {f"/t{i}" for i in range(floods)}
        trials = sum(map(shared_out, found.values()))
    for path, made in found.items():
        judge(path, made)
    assert trials >= TRIALS, f"in {floods} floods only {trials} were decided by both workers"


@contextmanager
def flooded(gateway: Gateway, seconds: float) -> Iterator[None]:
    """Flood while the block runs; more answers than the limit lets through must have come."""
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(flood, port(gateway), "/t0", seconds=seconds, lossy=True)
        yield
        assert answers.result() > BURST + LIMIT * seconds


def test_killed_workers_open_nothing(gateway: Gateway, backend: Backend) -> None:
    """What a killed worker logged last is lost with it, so here the backend counts."""
    gateway.expect_error(r"worker process \d+ exited on signal 9")
    backend.forget()
    begin = time.monotonic()
    with flooded(gateway, 2):
        for victim in gateway.worker_pids():
            time.sleep(0.4)
            os.kill(victim, signal.SIGKILL)
    count = len(backend.requests)
    assert 0 < count <= BURST + (time.monotonic() - begin) * LIMIT


def test_a_reload_opens_nothing(gateway: Gateway, backend: Backend) -> None:
    backend.forget()
    begin = time.monotonic()
    with flooded(gateway, 3):
        time.sleep(0.4)
        before = gateway.worker_pids()
        gateway.reload()
    count = len(backend.requests)
    assert 0 < count <= BURST + (time.monotonic() - begin) * LIMIT
    # The old ones finish what they had begun.
    wait_for(lambda: not set(before) & set(gateway.worker_pids()))
