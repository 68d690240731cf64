"""An issuer whose key set is garbage, empty, 10 MB, a redirect, or never comes.

Known keys serve on through each of these faults, and all recover: tests/integration/test_keyset_faults.py.
Here: no keys yet (503), how often the issuer is asked, what it costs, and workers killed while they ask.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway, wait_for
from tests.support.key_faults import FAULTS, body
from tests.support.key_server import (
    KeyServer,
    accepts,
    ask,
    fresh_issuer,
    key_set,
    one,
    policy,
    statuses,
    until,
)
from tests.support.memory import private_bytes
from tests.support.tokens import Issuer

# They are noticed after 10 s and more.
LATE: Final = {"silent", "dripping"}
FIRST_RETRY, LONGEST_RETRY = 1, 30  # lua/bartizan/keysets/schedule.lua


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


def most_fetches(seconds: float) -> int:
    """Return how often an issuer that fails may have been asked so far: back-off, half of it jitter."""
    count, after = 1, 0.0
    while True:
        after += min(FIRST_RETRY * 2 ** (count - 1), LONGEST_RETRY) / 2
        if after > seconds:
            return count
        count += 1


def bad(issuer: Issuer) -> str:
    return issuer.forge({"signature": "other key"})


def test_without_keys_every_fault_is_503(backend: Backend, bounds: Bounds, figures: Figures) -> None:
    """Expected: 503 with Retry-After for any token, never 401; fetches that back off; then it recovers."""
    issuers = {name: fresh_issuer(f"https://{name}.test") for name in FAULTS}
    faulty = True

    def answer(request: Request) -> Response:
        name = request.target.strip("/")
        return FAULTS[name][0](issuers[name]) if faulty else key_set(issuers[name])

    with Backend(answer) as keys:
        addresses = {name: (issuer.issuer, f"{keys.url}/{name}") for name, issuer in issuers.items()}
        begun = time.monotonic()
        with Gateway(policy(backend, addresses)) as gateway:
            gateway.expect_error("no new key set .* there is none before it")
            gateway.expect_error("upstream (prematurely closed|timed out)")
            backend.forget()
            refused = 0
            noticed = set(FAULTS) if bounds.patient else set(FAULTS) - LATE
            failures = 4 if bounds.patient else 2
            while not all(statuses(gateway)[name]["failures"] >= failures for name in noticed):
                for name, issuer in issuers.items():
                    for token in (issuer.token(), bad(issuer), "nonsense", None):
                        response = ask(gateway, token, f"/{name}")
                        assert response.status_code == 503, name
                        assert response.json()["code"] == "keys_unavailable"
                        assert 1 <= int(response.headers["Retry-After"]) <= LONGEST_RETRY
                        assert "WWW-Authenticate" not in response.headers
                        refused += 1
            assert backend.requests == []
            most = most_fetches(time.monotonic() - begun)
            fetches = [request.target for request in keys.requests]
            assert {name: fetches.count(f"/{name}") <= most for name in FAULTS} == dict.fromkeys(FAULTS, True)
            assert keys.requests
            faulty = False
            waited = time.monotonic()
            for name, issuer in issuers.items():
                # The slow ones, too: a fetch that still hung would be cut off by the stop.
                until(partial(accepts, gateway, issuer.token(), f"/{name}"), f"{name} recovers")
                assert ask(gateway, bad(issuer), f"/{name}").status_code == 401
    figures["issuers"] = len(FAULTS)
    figures["refused_with_503"] = refused
    figures["fetches"] = len(fetches)
    figures["fetches_of_one_at_most"] = max(fetches.count(f"/{name}") for name in FAULTS)
    figures["seconds_to_recover"] = time.monotonic() - waited


def peak_bytes(pids: list[int]) -> int:
    """Return the most memory that processes ever had, each for itself, together."""
    total = 0
    for pid in pids:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        total += int(found[1]) * 1024
    return total


def test_key_sets_of_ten_megabytes_cost_no_memory(backend: Backend, bounds: Bounds, figures: Figures) -> None:
    """Expected: no more of an answer is read than a key set can be long, however many come at once."""
    issuers = {f"i{number}": fresh_issuer(f"https://{number}.test") for number in range(20)}
    wanted = 60 if bounds.patient else 40
    huge = body(b'{"keys":[' + b" " * 10_000_000 + b"]}")
    released = False

    def answer(request: Request) -> Response:
        issuer = issuers[request.target.strip("/")]
        return huge(issuer) if released else Response(status=503)

    with Backend(answer) as keys:
        addresses = {name: (issuer.issuer, f"{keys.url}/{name}") for name, issuer in issuers.items()}
        with Gateway(policy(backend, addresses)) as gateway:
            gateway.expect_error("no new key set .* there is none before it")
            workers = gateway.worker_pids()
            before, peak = private_bytes(workers), peak_bytes(workers)
            released = True

            def met() -> bool:
                errors = [status.get("error", "") for status in statuses(gateway).values()]
                return all("longer than a key set can be" in error for error in errors) and (
                    sum(status["failures"] for status in statuses(gateway).values()) >= wanted
                )

            until(met, "all have met it, more than once")
            assert gateway.worker_pids() == workers
            growth = private_bytes(workers) - before
            rise = peak_bytes(workers) - peak
    figures["fetches"] = len(keys.requests)
    figures["megabytes_offered"] = len(keys.requests) * 10
    figures["growth_mib"] = growth / 2**20
    figures["growth_at_the_peak_mib"] = rise / 2**20
    assert rise < 48 * 2**20


def test_workers_killed_while_they_fetch_keep_nobody_from_it(
    backend: Backend, bounds: Bounds, figures: Figures
) -> None:
    """Expected: the turn to fetch ends with who held it, and the next worker that looks takes it."""
    hanging = threading.Semaphore(0)

    def hang(connection: socket.socket) -> None:
        hanging.release()
        connection.settimeout(60)
        connection.recv(1)

    with KeyServer(fresh_issuer()) as keys:
        slowest = 0.0
        for _ in range(bounds.service_kills):
            keys.answer = lambda _request: Response(takeover=hang)
            with Gateway(one(backend, keys)) as gateway:
                gateway.expect_error(r"exited on signal 9|no new key set|prematurely closed")
                for _ in range(2):
                    assert hanging.acquire(timeout=60), "nobody fetches"
                    # The one that asks, and the one through which it does.
                    old = kill_workers(gateway)
                    killed = time.monotonic()
                    wait_for(partial(replaced, gateway, old))
                assert hanging.acquire(timeout=60), "nobody fetches any more"
                slowest = max(slowest, time.monotonic() - killed)
                keys.come_back()
                kill_workers(gateway)
                until(lambda: accepts_somehow(gateway, keys.issuer.token()), "the keys come")
    figures["kills"] = bounds.service_kills * 3
    figures["seconds_until_the_next_fetch_at_most"] = slowest


def kill_workers(gateway: Gateway) -> list[int]:
    pids = gateway.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return pids


def replaced(gateway: Gateway, old: list[int]) -> bool:
    return not set(old) & set(gateway.worker_pids())


def accepts_somehow(gateway: Gateway, token: str) -> bool:
    """Whether a token is let through; no worker may be there yet to say so."""
    try:
        return accepts(gateway, token)
    except httpx.TransportError:
        return False
