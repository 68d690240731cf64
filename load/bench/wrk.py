"""Driving a proxy with wrk, which keeps a fixed number of connections busy, and reading what it prints."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from load.bench.traffic import Load

SCRIPT: Final = Path(__file__).with_name("requests.lua")
_UNITS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
_PERCENTILE: Final = re.compile(r"^ +(\d+)% +([\d.]+)(us|ms|s|m|h) *$", re.MULTILINE)
_COUNT: Final = re.compile(r"^ +(\d+) requests in ([\d.]+)(ms|s|m|h),", re.MULTILINE)
_BAD: Final = re.compile(r"^ *(Socket errors: .*)$", re.MULTILINE)
_REFUSED: Final = re.compile(r"^ *Non-2xx or 3xx responses: (\d+)$", re.MULTILINE)
# What a run breaks off in the middle of is no whole round of the requests.
_TOLERANCE: Final = 0.02


class LoadError(Exception):
    """Not every request was answered with success: what was measured means nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """What wrk counted.

    Attributes:
        requests: how many were answered.
        seconds: in how long.
        percentiles: milliseconds, by the per cent of requests that took no longer.
    """

    requests: int
    seconds: float
    percentiles: dict[int, float]


def drive(
    url: str, load: Load, seconds: int, start: int = 0, environment: Mapping[str, str] | None = None
) -> Run:
    """Send requests as fast as they are answered.

    Args:
        url: where to; its path is the template's.
        load: what.
        seconds: for how long.
        start: behind how many of the values to begin.
        environment: its variables, which say what it offers in TLS; None for this program's.

    Raises:
        LoadError: if any request failed, or if another part of them was refused than must be.
    """
    command = ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    command += ["-s", str(SCRIPT), url, "--", str(load.template), str(start)]
    if load.values:
        command.append(str(load.values))
    done = subprocess.run(  # noqa: S603 (words of our own)
        command, capture_output=True, text=True, timeout=seconds + 60, env=environment, check=False
    )
    if done.returncode != 0:
        raise LoadError(f"wrk ended with {done.returncode}: {done.stderr or done.stdout}")
    return read_output(done.stdout, load.refused)


def read_output(text: str, refused: float = 0) -> Run:
    """Read what wrk prints.

    Args:
        text: what it printed.
        refused: which part of the requests must be refused.

    Raises:
        LoadError: if it tells of failed requests, of another part that was refused, or of none at all.
    """
    if bad := _BAD.search(text):
        raise LoadError(bad[1])
    count = _COUNT.search(text)
    if count is None or count[1] == "0":
        raise LoadError("no request was answered")
    not_passed = _REFUSED.search(text)
    if not_passed and not refused:
        raise LoadError(not_passed[0].strip())
    part = (int(not_passed[1]) if not_passed else 0) / int(count[1])
    if abs(part - refused) > _TOLERANCE:
        raise LoadError(f"{part:.1%} of the requests were refused instead of {refused:.1%}")
    seconds = float(count[2]) * _UNITS[count[3]] / 1000
    percentiles = {int(name): float(value) * _UNITS[unit] for name, value, unit in _PERCENTILE.findall(text)}
    return Run(int(count[1]), seconds, percentiles)
