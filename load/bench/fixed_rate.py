"""How long requests take at a rate that leaves a proxy some air: h2load sends them evenly.

It measures from when a request was really sent, so a proxy that made the sender late is not charged for that;
that all were sent in time is seen from their number.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

from load.bench.tls import GROUP, SUITE
from load.bench.traffic import CONNECTIONS, Request
from load.bench.wrk import LoadError

SHARE: Final = 0.7
ROUNDS: Final = 5

# The connections are opened, and find their pace, in the first second.
SETTLE_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Paced:
    """What came of one run.

    Attributes:
        asked: how many requests a second were to be sent.
        rps: how many were answered; fewer, if the proxy did not keep up.
        p50_ms: half of them took no longer.
        p99_ms: 99 of 100 took no longer.
    """

    asked: float
    rps: float
    p50_ms: float
    p99_ms: float


def drive(url: str, request: Request, rate: float, seconds: int, log: Path) -> Paced:
    """Send requests at a rate.

    Args:
        url: where to.
        request: what.
        rate: how many a second.
        seconds: for how long they are counted.
        log: a file for what h2load writes of each request; it is removed.

    Raises:
        LoadError: if any request failed.
    """
    command = ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-D{seconds + SETTLE_US // 1_000_000}"]
    command += [f"--tls13-ciphers={SUITE}", f"--groups={GROUP}"]
    command += [f"--rps={rate / CONNECTIONS:.3f}", f"--log-file={log}"]
    for name, value in request.headers:
        # h2load writes Host itself; by this name it takes another.
        command += ["-H", f"{':authority' if name == 'Host' else name}: {value}"]
    log.unlink(missing_ok=True)
    try:
        done = subprocess.run(  # noqa: S603 (words of our own)
            [*command, f"{url}{request.path}"],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
        if done.returncode != 0:
            raise LoadError(f"h2load ended with {done.returncode}: {done.stderr or done.stdout}")
        return read_log(log.read_text(encoding="ascii"), rate)
    finally:
        log.unlink(missing_ok=True)


def read_log(text: str, asked: float) -> Paced:
    """Read h2load's lines: when a request was sent, its status, and how long it took, in microseconds.

    Raises:
        LoadError: if a request failed, or if there is none.
    """
    rows = [tuple(map(int, line.split("\t")[:3])) for line in text.splitlines()]
    if failed := [status for _, status, _ in rows if not 200 <= status < 300]:
        raise LoadError(f"{len(failed)} of {len(rows)} requests failed, one with the status {failed[0]}")
    begin = min((sent for sent, _, _ in rows), default=0) + SETTLE_US
    counted = [(sent, took) for sent, _, took in rows if sent >= begin]
    if len(counted) < 2:
        raise LoadError("no request was answered")
    times = sorted(took for _, took in counted)
    seconds = (max(sent for sent, _ in counted) - begin) / 1e6
    return Paced(asked, len(counted) / seconds, percentile(times, 50) / 1000, percentile(times, 99) / 1000)


def percentile(ordered: Sequence[float], per_cent: float) -> float:
    """Return the value that so many per cent of ordered values do not exceed (the nearest rank)."""
    return ordered[max(1, ceil(len(ordered) * per_cent / 100)) - 1]
