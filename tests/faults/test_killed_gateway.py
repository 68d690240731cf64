"""kill -9 of the gateway's own processes under load: what is lost is what the killed process had in hand."""

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.faults.service import await_end, clients_of, held, plain_policy, slowish
from tests.support.backend import Backend
from tests.support.gateway import Gateway, wait_for
from tests.support.traffic import Traffic, get
from tests.support.wire import port_of

CLIENTS = 32


def numbers(backend: Backend) -> set[int]:
    """Return which requests reached the service."""
    return {int(seen.target.rpartition("/")[2]) for seen in backend.requests}


def kill_worker(gateway: Gateway, victim: int) -> set[int]:
    """Kill a worker, await the one that takes its place, and return the ports of the clients that it had."""
    os.kill(victim, signal.SIGSTOP)  # so that what it has can be counted
    wait_for(lambda: psutil.Process(victim).status() == psutil.STATUS_STOPPED)
    clients = clients_of(victim, gateway)
    os.kill(victim, signal.SIGKILL)

    def replaced() -> bool:
        workers = gateway.worker_pids()
        return len(workers) == 2 and victim not in workers

    wait_for(replaced)
    return clients


def test_a_worker(bounds: Bounds, figures: Figures) -> None:
    """Expected: the master starts another worker.

    Lost are at most the requests on the connections that the killed worker had, one each. No slot is lost
    (there are as many as clients, so a lost one shows as 429), no count of a rate, and no connection is
    refused.
    """
    route = {"methods": ["GET"], "upstream": "data", "auth": "none"}
    routes = [
        {**route, "prefix": "/load", "concurrency": {"limit": CLIENTS}},
        {**route, "path": "/counted", "rate": {"limit": "1/h", "burst": 3}},
    ]
    had = killed = seen = 0
    with Backend(slowish) as backend, Gateway(plain_policy(backend, routes=routes)) as gateway:
        gateway.expect_error(r"worker process \d+ exited on signal 9")
        with gateway.client() as client:
            assert [client.get("/counted").status_code for _ in range(2)] == [200, 200]
        with Traffic(port_of(gateway, tls=False), get("/load"), connections=CLIENTS) as traffic:
            for _ in range(bounds.kills):
                traffic.await_answers(5 * CLIENTS)
                clients = kill_worker(gateway, gateway.worker_pids()[killed % 2])
                killed += 1
                had += len(clients)
                traffic.await_answers(5 * CLIENTS)
                losses = traffic.tally.losses[seen:]
                seen += len(losses)
                assert {loss.port for loss in losses} <= clients
                assert len(losses) <= len(clients)
        figures |= {"killed": killed, **traffic.tally.figures(), "connections_of_the_killed": had}
        assert set(traffic.tally.statuses) == {200}
        assert traffic.tally.refused == 0
        wait_for(lambda: held(gateway) == 0)
        with gateway.client() as client:
            assert [client.get("/counted").status_code for _ in range(2)] == [200, 429]


def kill_master(gateway: Gateway) -> None:
    os.kill(gateway.master, signal.SIGKILL)


def kill_command(gateway: Gateway) -> None:
    gateway.process.kill()


def kill_both(gateway: Gateway) -> None:
    """Leave nobody but the kernel to end the workers."""
    gateway.process.send_signal(signal.SIGSTOP)
    kill_master(gateway)
    gateway.process.kill()


@pytest.mark.parametrize(
    ("kill", "code", "said"),
    [
        pytest.param(
            *(
                kill_master,
                1,
                "bartizan: nginx ended by itself (by signal SIGKILL); its own words stand above",
            ),
            id="the master",
        ),
        pytest.param(kill_command, -signal.SIGKILL, "", id="bartizan run"),
        pytest.param(kill_both, -signal.SIGKILL, "", id="both"),
    ],
)
def test_all(bounds: Bounds, figures: Figures, kill: Callable[[Gateway], None], code: int, said: str) -> None:
    """Expected: the rest ends too, and says why where somebody is left to say it; the next start serves.

    So a service manager can start it again, and nobody keeps the ports. Lost after they were forwarded are
    the requests not answered yet, of each client one at each worker at most; others may have been on their
    way to a worker that did not come to accept them. What comes while nothing runs is refused at once.
    """
    killed = 0
    away = 0.0
    with Backend(slowish) as backend, Gateway(plain_policy(backend)) as gateway:
        gateway.expect_error("nginx ended by itself")
        with Traffic(port_of(gateway, tls=False), get("/load"), connections=CLIENTS) as traffic:
            for _ in range(max(1, bounds.kills // 4)):
                traffic.await_answers(5 * CLIENTS)
                pids = [gateway.master, *gateway.worker_pids()]
                begin = time.monotonic()
                kill(gateway)
                killed += 1
                assert gateway.process.wait(60) == code
                assert said in gateway.stderr()
                await_end(pids)
                traffic.await_refusals(1)
                gateway.restart()
                away = max(away, time.monotonic() - begin)
                traffic.await_answers(5 * CLIENTS)
        forwarded = {loss.number for loss in traffic.tally.losses} & numbers(backend)
        figures |= {"killed": killed, **traffic.tally.figures(), "lost_after_forwarding": len(forwarded)}
        figures["seconds_until_ready_again"] = away
        assert set(traffic.tally.statuses) == {200}
        assert len(forwarded) <= killed * CLIENTS * 2
        assert not [loss for loss in traffic.tally.losses if loss.kind == "silent"]
