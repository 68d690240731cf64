"""Load that goes on: what the workers keep for themselves does not climb."""

import os
import signal
import statistics
import time
from contextlib import ExitStack
from typing import Any

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.faults.service import slowish
from tests.support.backend import Backend
from tests.support.gateway import Gateway
from tests.support.key_server import KeyServer, accepts, fresh_issuer, one, until
from tests.support.memory import private_bytes
from tests.support.tokens import Issuer
from tests.support.traffic import Traffic, get
from tests.support.wire import port_of

MIB = 1 << 20
WORKERS = 2
BODY = b"x" * 100_000  # more than nginx keeps in memory
SAMPLE = 0.5
PAUSE = 0.01
ROTATE = 30.0


def policy(backend: Backend, keys: KeyServer) -> dict[str, Any]:
    """Return a policy with a route for each kind of work."""
    route = {"methods": ["GET", "POST"], "upstream": "data", "auth": "none"}
    usual = one(backend, keys)
    return usual | {
        "workers": WORKERS,
        "listen": {"http": {"redirect": False}},
        "defaults": {"rate": {"limit": "100000/s", "burst": 100_000}, "concurrency": {"limit": 1000}},
        "routes": [
            *usual["routes"],
            {**route, "prefix": "/open"},
            {**route, "prefix": "/few", "rate": {"limit": "1/m", "burst": 1}},
            {**route, "prefix": "/header", "rate": {"limit": "1/h", "burst": 5, "by": "header:x-key"}},
        ],
    }


def posting(number: int) -> bytes:
    """Return a request with a body that goes through a file."""
    head = f"POST /open/{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n\r\n"
    return head.encode() + BODY


def by_header(number: int) -> bytes:
    """Return a request that a limit has not seen the like of."""
    return f"GET /header/{number} HTTP/1.1\r\nHost: localhost\r\nX-Key: key-{number}\r\n\r\n".encode()


def rotate(gateway: Gateway) -> None:
    """Take the logs away, so that they don't fill the disk, and have nginx begin others."""
    for path in (gateway.state / "log").iterdir():
        path.unlink()
    os.kill(gateway.process.pid, signal.SIGUSR1)


def loads(gateway: Gateway, issuer: Issuer) -> dict[str, Traffic]:
    """Return traffic of each kind."""
    plain, secure, context = port_of(gateway, tls=False), port_of(gateway), gateway.context()
    known = [issuer.token("ES256") for _ in range(200)]

    def bearing(token: str, number: int) -> bytes:
        return get("/one", f"Authorization: Bearer {token}")(number)

    def seen(number: int) -> bytes:
        return bearing(known[number % len(known)], number)

    def unseen(number: int) -> bytes:
        return bearing(issuer.token("ES256"), number)

    def bad(number: int) -> bytes:
        return bearing("a.b.c", number)

    return {
        "token": Traffic(plain, seen, connections=8),
        "new_token": Traffic(plain, unseen, connections=4),
        "bad_token": Traffic(plain, bad, connections=1, rest=PAUSE),
        "fresh_tls": Traffic(secure, get("/open"), connections=2, each=1, rest=PAUSE, tls=context),
        "kept_tls": Traffic(secure, get("/open"), connections=2, rest=PAUSE, tls=context),
        "no_route": Traffic(plain, get("/nowhere"), connections=1, rest=PAUSE),
        "too_many": Traffic(plain, get("/few"), connections=1, rest=PAUSE),
        "header": Traffic(plain, by_header, connections=1, rest=PAUSE),
        "body": Traffic(plain, posting, connections=1, rest=PAUSE),
    }


STATUSES = {"bad_token": {401}, "no_route": {404}, "too_many": {200, 429}}


def test_memory_does_not_climb(bounds: Bounds, figures: Figures) -> None:
    """Expected: after a warm-up memory stays, a worker has less than 40 MiB to itself, and nothing is lost.

    The load has all that leaves something behind for a while: tokens seen again and tokens never seen before,
    refusals, new keys of limits, bodies in files, new TLS connections, logs that are rotated.
    """
    issuer = fresh_issuer()
    with ExitStack() as stack:
        keys = stack.enter_context(KeyServer(issuer))
        backend = stack.enter_context(Backend(slowish))
        gateway = stack.enter_context(Gateway(policy(backend, keys)))
        until(lambda: accepts(gateway, issuer.token("ES256")), "the keys come")
        workers = gateway.worker_pids()
        samples: list[float] = []
        with ExitStack() as running:
            kinds = loads(gateway, issuer)
            for load in kinds.values():
                running.enter_context(load)
            begin = rotated = time.monotonic()
            while time.monotonic() - begin < bounds.steady:
                time.sleep(SAMPLE)
                samples.append(private_bytes(workers) / MIB)
                backend.forget()
                if time.monotonic() - rotated > ROTATE:
                    rotate(gateway)
                    rotated = time.monotonic()
        quarter = len(samples) // 4
        warm, last = samples[quarter : 2 * quarter], samples[-quarter:]
        figures |= {f"{name}_sent": load.tally.sent for name, load in kinds.items()}
        figures |= {"mib_first": samples[0], "mib_warm": statistics.median(warm)}
        figures |= {"mib_last": statistics.median(last), "mib_most": max(samples)}
        assert gateway.worker_pids() == workers
        for name, load in kinds.items():
            assert load.tally.losses == [], name
            assert set(load.tally.statuses) <= STATUSES.get(name, {200}), name
        assert max(samples) < 40 * len(workers)
        # A short run is all warm-up: what is remembered of tokens has not come to its bound.
        assert statistics.median(last) < statistics.median(warm) * (1.1 if bounds.patient else 2)
