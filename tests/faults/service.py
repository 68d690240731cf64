"""What the tests of faults share: a service that takes a moment to answer, and a gateway before it."""

import time
from typing import Any, Final

import httpx
import psutil

from tests.support.backend import Backend, Request, Response
from tests.support.exposition import Family, parse
from tests.support.gateway import Gateway, wait_for
from tests.support.listening import policy
from tests.support.traffic import Traffic, get
from tests.support.wire import port_of

# So that a fault meets requests within the service, not only between two of them.
MOMENT: Final = 0.005


def slowish(_: Request) -> Response:
    """Answer after a moment."""
    time.sleep(MOMENT)
    return Response()


def plain_policy(backend: Backend, route: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a policy of one public route, served over plain http too, by two workers."""
    usual = {"prefix": "/", "methods": ["GET", "POST"], "upstream": "data", "auth": "none"}
    usual_policy: dict[str, Any] = {
        "listen": {"http": {"redirect": False}},
        "workers": 2,
        "routes": [usual | (route or {})],
    }
    return policy(backend, **usual_policy | more)


def metrics(gateway: Gateway) -> dict[str, Family]:
    """Return the gateway's metrics."""
    return parse(httpx.get(f"{gateway.operator}/metrics", timeout=30, trust_env=False).text)


def held(gateway: Gateway) -> int:
    """Return how many slots of the concurrency guard are held."""
    return int(metrics(gateway)["bartizan_concurrency_held"].value())


def lines_of_access(gateway: Gateway) -> int:
    """Return how many lines the access log has; they are written a second late."""
    return (gateway.state / "log" / "access.jsonl").read_bytes().count(b"\n")


def numbers_read(gateway: Gateway, path: str) -> set[int]:
    """Return which requests of a path nginx has read, by its access log; see `lines_of_access`."""
    return {
        int(line["path"].rpartition("/")[2])
        for line in gateway.access()
        if line["path"].startswith(f"{path}/")
    }


def connections(gateway: Gateway) -> int:
    """Return how many connections of clients the workers have."""
    ports = {port_of(gateway), port_of(gateway, tls=False)}
    return sum(
        connection.laddr.port in ports and bool(connection.raddr)
        for pid in gateway.worker_pids()
        for connection in psutil.Process(pid).net_connections("tcp")
    )


def good_traffic(gateway: Gateway, source: str = "127.0.0.2") -> Traffic:
    """Return well-behaved clients, each request of theirs on a new connection."""
    return Traffic(
        port_of(gateway), get("/good"), connections=4, each=1, rest=0.02, tls=gateway.context(), source=source
    )


def assert_served(good: Traffic) -> None:
    """Check that nothing of well-behaved clients was refused or lost."""
    assert set(good.tally.statuses) == {200}
    assert good.tally.losses == []
    assert good.tally.refused == 0


def clients_of(pid: int, gateway: Gateway) -> set[int]:
    """Return the client's ports of the connections that a worker holds on the plain http listener."""
    listener = port_of(gateway, tls=False)
    return {
        connection.raddr.port
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.laddr.port == listener and connection.raddr
    }


def await_end(pids: list[int]) -> None:
    """Wait until processes have ended."""
    wait_for(lambda: not any(map(psutil.pid_exists, pids)))
