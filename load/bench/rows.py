"""What was measured: one row for each scenario and target."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

BASE = "nginx"


@dataclass(frozen=True, slots=True)
class Round:
    """One run of a target.

    Attributes:
        rps: requests a second.
        cpu_us: processor time of the worker for one request, in microseconds.
        busy: which part of the time the worker's core worked for it.
        percentiles: milliseconds, by the per cent of requests that took no longer.
    """

    rps: float
    cpu_us: float
    busy: float
    percentiles: dict[int, float]


@dataclass(frozen=True, slots=True)
class Row:
    """All rounds of a target in a scenario; figures are medians over them.

    Attributes:
        scenario: its name.
        target: its name.
        rounds: in the order in which they ran.
        rss_mib: the most memory that its worker had resident.
        pss_mib: the memory of its worker, what it shares counted in parts.
        extra: further figures, by name.
        error: why there are no figures.
    """

    scenario: str
    target: str
    rounds: Sequence[Round] = ()
    rss_mib: float = 0.0
    pss_mib: float = 0.0
    extra: dict[str, float] | None = None
    error: str | None = None

    @property
    def rps(self) -> float:
        """Requests a second."""
        return median(run.rps for run in self.rounds)

    @property
    def cpu_us(self) -> float:
        """Processor time of the worker for one request, in microseconds."""
        return median(run.cpu_us for run in self.rounds)

    def percentile(self, per_cent: int) -> float:
        """Milliseconds in which so many per cent of the requests were answered."""
        return median(run.percentiles[per_cent] for run in self.rounds)

    def as_json(self) -> dict[str, Any]:
        """Return the row of the report."""
        names = {"scenario": self.scenario, "target": self.target}
        if self.error is not None:
            return names | {"error": self.error}
        return {
            **names,
            "rps": round(self.rps, 1),
            "cpu_us_per_request": round(self.cpu_us, 3),
            "p50_ms": round(self.percentile(50), 4),
            "p90_ms": round(self.percentile(90), 4),
            "p99_ms": round(self.percentile(99), 4),
            "rss_mib": round(self.rss_mib, 1),
            "pss_mib": round(self.pss_mib, 1),
            "busy": round(median(run.busy for run in self.rounds), 3),
            "rounds": [
                {"rps": round(run.rps, 1), "cpu_us_per_request": round(run.cpu_us, 3)} for run in self.rounds
            ],
            **(self.extra or {}),
        }


def ratio(rows: Iterable[Row], row: Row, base: str = BASE, scenario: str | None = None) -> float | None:
    """Return the processor time of a row against that of a base, None if that has no figures.

    Args:
        rows: all of them.
        row: whose ratio.
        base: the target that is 1.
        scenario: the scenario of the base; absent, the row's own.
    """
    found = find(rows, scenario or row.scenario, base)
    return None if found is None or row.error else row.cpu_us / found.cpu_us


def find(rows: Iterable[Row], scenario: str, target: str) -> Row | None:
    """Return the row of a target in a scenario, None if it has no figures."""
    for row in rows:
        if (row.scenario, row.target) == (scenario, target) and row.error is None:
            return row
    return None
