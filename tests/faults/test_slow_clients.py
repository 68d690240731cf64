"""Clients that take their time, many at once: they are ended or bounded, and others are served meanwhile."""

import csv
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.faults.service import assert_served, connections, good_traffic, held, plain_policy
from tests.support.backend import Backend, Request, Response
from tests.support.crowd import Crowd
from tests.support.gateway import Gateway, wait_for
from tests.support.wire import port_of

HALF_HEAD = b"GET /slow HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n"
HALF_BODY = b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc"
LONG_ANSWER = b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n"
WINDOW = 4096
PATIENCE = 90


def respond(request: Request) -> Response:
    """Answer `/long` with 16 MiB, all else in a word."""
    if request.target.startswith("/long"):
        return Response(body=(b"x" * 65536 for _ in range(256)))
    return Response()


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    limit = {"concurrency": {"limit": 950}}
    with Backend(respond) as backend, Gateway(plain_policy(backend, limit)) as running:
        workers = running.worker_pids()
        yield running
        assert running.worker_pids() == workers, "a worker had to be started again"


def test_every_kind_at_once(gateway: Gateway, bounds: Bounds, figures: Figures) -> None:
    """Expected: half a head is ended after 10 s, whatever dribbles in; half a body after 15 s of silence.

    So is an answer of which nothing is read for 30 s. What dribbles on may stay; it is bounded by the limits
    on the requests of an address. All others are served at once, and all slots are given back.
    """
    size = bounds.slow_clients
    with ExitStack() as stack:

        def crowd(number: int, first: bytes, *, tls: bool, window: int | None = None) -> Crowd:
            context = gateway.context() if tls else None
            source = f"127.0.0.{number}"
            port = port_of(gateway, tls=tls)
            return stack.enter_context(
                Crowd(port, size, source=source, first=first, tls=context, window=window)
            )

        with good_traffic(gateway) as good:
            unread = crowd(11, LONG_ANSWER, tls=False, window=WINDOW)
            trickling = crowd(12, LONG_ANSWER, tls=False, window=WINDOW)
            dribbling = crowd(13, HALF_BODY, tls=True)
            bodies = crowd(14, HALF_BODY, tls=True)
            heads = crowd(15, HALF_HEAD, tls=False)
            good.await_answers(100)
            figures |= {"slow_clients": 5 * size, "open_at_once": connections(gateway)}
            while heads.still_open():
                heads.send(b"X-A: b\r\n")
                dribbling.send(b"x")
                trickling.receive(64)
                good.await_answers(20)
            bodies.await_end(PATIENCE)
            dribbling.send(b"x")
            figures["still_dribbling"] = dribbling.still_open()
            if bounds.patient:
                unread.await_end(PATIENCE)
            for left in (unread, trickling, dribbling):
                left.leave()
            good.await_answers(20)
    figures |= good.tally.figures()
    assert_served(good)
    wait_for(lambda: held(gateway) == 0, PATIENCE)
    wait_for(lambda: connections(gateway) == 0, PATIENCE)


MODES = {
    "heads": ("-H", "-i", "1"),
    "bodies": ("-B", "-i", "1", "-s", "8192"),
    "reading": ("-X", "-n", "1", "-w", "10", "-y", "20", "-z", "5"),
}


@pytest.mark.parametrize("mode", MODES)
def test_slowhttptest(gateway: Gateway, bounds: Bounds, figures: Figures, tmp_path: Path, mode: str) -> None:
    """Expected: the tool's own probe is answered in every second, and so are others."""
    url = f"{gateway.https}/{'long' if mode == 'reading' else 'slow'}"
    size = str(bounds.slow_clients)
    report = tmp_path / "seen"
    command = ["slowhttptest", *MODES[mode], "-c", size, "-r", size, "-l", "4", "-p", "5", "-u", url]
    with good_traffic(gateway) as good:
        done = subprocess.run(
            [*command, "-g", "-o", report], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    # The first line is from before the first probe.
    seconds = list(csv.DictReader(report.with_suffix(".csv").read_text().splitlines()))[1:]
    most = max(int(second["Connected"]) for second in seconds)
    figures |= {"slow_clients": most, "seconds": len(seconds), **good.tally.figures()}
    assert most >= bounds.slow_clients // 10
    # The tool draws it as high as all its connections, or at 0.
    assert {second["Service Available"] for second in seconds} == {size}
    assert_served(good)
    wait_for(lambda: connections(gateway) == 0, PATIENCE)
