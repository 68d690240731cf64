"""Clients that take their time, many at once: they are ended or bounded, and others are served meanwhile."""

import csv
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

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
HALF_HANDSHAKE = bytes([22, 3, 1, 2, 0, 1, 0, 1, 252])  # of a ClientHello (RFC 8446 section 5.1)
# The preface, an empty SETTINGS frame, and HEADERS without END_HEADERS (RFC 9113 sections 3.4, 6.2).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
HALF_HTTP2_HEAD = PREFACE + bytes([0, 0, 3, 1, 1, 0, 0, 0, 1, 0x82, 0x86, 0x84])
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
    """Expected: half a head or handshake is ended after 10 s, whatever dribbles in.

    Half a body is ended after 15 s of silence, an answer of which nothing is read after 30 s. Over HTTP/2 the
    request ends so, and its connection is idle from then on. What dribbles on may stay; it is bounded by the
    limits on the requests of an address. All others are served at once, and all slots are given back.
    """
    size = bounds.slow_clients
    plain, secure = port_of(gateway, tls=False), port_of(gateway)
    tls, http2 = gateway.context(), gateway.context()
    http2.set_alpn_protocols(["h2"])
    with ExitStack() as stack, good_traffic(gateway) as good:
        numbers = count(11)

        def crowd(port: int, first: bytes, **options: Any) -> Crowd:
            source = f"127.0.0.{next(numbers)}"
            return stack.enter_context(Crowd(port, size, source=source, first=first, **options))

        unread = crowd(plain, LONG_ANSWER, window=WINDOW)
        trickling = crowd(plain, LONG_ANSWER, window=WINDOW)
        bodies = crowd(secure, HALF_BODY, tls=tls)
        streams = crowd(secure, HALF_HTTP2_HEAD, tls=http2)
        prefaces = crowd(secure, PREFACE, tls=http2)
        handshakes = crowd(secure, HALF_HANDSHAKE)
        nothing = crowd(plain, b"")
        dribbling = crowd(secure, HALF_BODY, tls=tls)
        heads = crowd(plain, HALF_HEAD)
        good.await_answers(100)
        figures |= {"slow_clients": (next(numbers) - 11) * size, "open_at_once": connections(gateway)}
        ending = (bodies, prefaces, handshakes, nothing, heads)
        while any(each.still_open() for each in ending):
            heads.send(b"X-A: b\r\n")
            dribbling.send(b"x")
            trickling.receive(64)
            good.await_answers(20)
        figures["still_dribbling"] = dribbling.still_open()
        if bounds.patient:
            # The client's system takes a little more, now and then, as long as its buffer has room.
            unread.await_end(4 * PATIENCE)
            streams.await_end(PATIENCE)
        for left in (unread, trickling, dribbling, streams):
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
