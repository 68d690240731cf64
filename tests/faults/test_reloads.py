"""Reloads under load, one after the other: nothing is lost, nothing is left, nothing climbs."""

import statistics
import time
from typing import Any

import psutil

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.faults.service import lines_of_access, numbers_read, plain_policy, slowish
from tests.support.backend import Backend
from tests.support.curl import Curl
from tests.support.gateway import Gateway, wait_for
from tests.support.memory import private_bytes
from tests.support.traffic import Traffic, get
from tests.support.wire import port_of

MIB = 1 << 20


def variant(usual: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the policy with a route that has another name each time."""
    route = {"path": f"/variant-{number}", "methods": ["GET"], "upstream": "data", "auth": "none"}
    return usual | {"routes": [*usual["routes"], route]}


def settled(gateway: Gateway) -> bool:
    """Say whether nothing but the newest workers is left of nginx."""
    return len(psutil.Process(gateway.master).children()) == len(gateway.worker_pids()) == 2


def all_read(gateway: Gateway, answered: dict[str, int]) -> dict[str, set[int]] | None:
    """Return which requests of each path nginx has read, or None if not all are logged yet."""
    read = {path: numbers_read(gateway, path) for path in answered}
    return read if all(len(read[path]) >= count for path, count in answered.items()) else None


def test_nothing_is_lost(bounds: Bounds, figures: Figures) -> None:
    """Expected: every request whose bytes nginx has read is answered: HTTP/1.1 and HTTP/2, plain and TLS.

    A kept connection may end between two requests, and a request that meets its end is not in the access
    log: no worker has read it. (Over HTTP/2 a GOAWAY says so, and clients repeat it; curl forgets
    to at times.) On a fresh connection none is lost. Old workers end, and the memory of the master and of the
    workers does not climb.
    """
    workers: list[int] = []
    master: list[int] = []
    seconds: list[float] = []
    with Backend(slowish) as backend, Gateway(plain_policy(backend)) as gateway:
        usual = gateway.policy
        port = port_of(gateway, tls=False)
        with (
            Traffic(port, get("/kept"), connections=8, rest=0.01) as kept,
            Traffic(
                port_of(gateway), get("/fresh"), connections=4, each=1, rest=0.01, tls=gateway.context()
            ) as fresh,
            Curl(gateway, "/multiplexed") as multiplexed,
        ):
            for number in range(bounds.reloads):
                begin = time.monotonic()
                gateway.reload(variant(usual, number))
                seconds.append(time.monotonic() - begin)
                kept.await_answers(40)
                fresh.await_answers(5)
                wait_for(lambda: settled(gateway), 60)
                backend.forget()
                workers.append(private_bytes(gateway.worker_pids()))
                master.append(private_bytes([gateway.master]))
        with gateway.client() as client:
            assert client.get(f"/variant-{bounds.reloads - 1}").status_code == 200
        answered = {
            "/kept": kept.tally.answered,
            "/fresh": fresh.tally.answered,
            "/multiplexed": multiplexed.statuses.total(),
        }
        wait_for(lambda: lines_of_access(gateway) > sum(answered.values()))
        read = wait_for(lambda: all_read(gateway, answered), 120)
        figures |= {"reloads": bounds.reloads, "seconds_for_one": statistics.median(seconds)}
        figures |= {f"kept_{name}": count for name, count in kept.tally.figures().items()}
        figures |= {f"fresh_{name}": count for name, count in fresh.tally.figures().items()}
        figures |= {"http2_answered": multiplexed.statuses.total(), "http2_lost": len(multiplexed.lost)}
        figures |= {"workers_mib_first": workers[0] / MIB, "workers_mib_last": workers[-1] / MIB}
        figures |= {"master_mib_first": master[0] / MIB, "master_mib_last": master[-1] / MIB}
        assert {loss.number for loss in kept.tally.losses} & read["/kept"] == set()
        assert len(read["/kept"]) == kept.tally.answered
        assert all(loss.kept for loss in kept.tally.losses)
        assert fresh.tally.losses == []
        assert set(multiplexed.lost) & read["/multiplexed"] == set(), multiplexed.lost
        assert len(multiplexed.lost) <= bounds.reloads
        assert kept.tally.refused + fresh.tally.refused == 0
        assert set(kept.tally.statuses | fresh.tally.statuses | multiplexed.statuses) == {200}
        assert len(read["/fresh"]) == fresh.tally.answered
        # The first reloads grow what is kept for the next ones.
        warm = bounds.reloads // 2
        assert max(workers[warm:]) < max(workers[:warm]) * 1.25 + 4 * MIB
        assert max(master[warm:]) < max(master[:warm]) * 1.25 + 4 * MIB
