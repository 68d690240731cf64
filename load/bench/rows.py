"""What was measured: one row for each scenario and target."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from load.bench.fixed_rate import Paced


@dataclass(frozen=True, slots=True)
class Round:
    """One run of a target.

    Attributes:
        rps: requests a second.
        cpu_us: processor time of the worker for one request, in microseconds.
        busy: which part of the time a core worked for it.
        waited: which part of the time it had work, and somebody else had its core.
        percentiles: milliseconds, by the per cent of requests that took no longer.
    """

    rps: float
    cpu_us: float
    busy: float
    waited: float
    percentiles: dict[int, float]


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of a worker, in MiB.

    Attributes:
        peak_mib: the most that was ever resident.
        proportional_mib: what it has in the end; what it shares counts in parts.
        own_mib: the same without shared stores.
    """

    peak_mib: float
    proportional_mib: float
    own_mib: float


@dataclass(frozen=True, slots=True)
class Row:
    """All rounds of a target in a scenario; figures are medians over them.

    Attributes:
        scenario: its name.
        target: its name.
        base: the target that ratios are of.
        rounds: in the order in which they ran.
        paced: those at a fixed rate.
        memory: of its worker.
        error: why there are no figures.
    """

    scenario: str
    target: str
    base: str = "nginx"
    rounds: tuple[Round, ...] = ()
    paced: tuple[Paced, ...] = ()
    memory: Memory = Memory(0, 0, 0)
    error: str | None = None

    @property
    def rps(self) -> float:
        """Requests a second."""
        return median(run.rps for run in self.rounds)

    @property
    def cpu_us(self) -> float:
        """Processor time of the worker for one request, in microseconds."""
        return median(run.cpu_us for run in self.rounds)

    @property
    def busy(self) -> float:
        """Which part of the time a core worked for it."""
        return median(run.busy for run in self.rounds)

    @property
    def waited(self) -> float:
        """Which part of the time it had work, and somebody else had its core."""
        return median(run.waited for run in self.rounds)

    def percentile(self, per_cent: int) -> float:
        """Milliseconds in which so many per cent of the requests were answered."""
        return median(run.percentiles[per_cent] for run in self.rounds)

    def at_fixed_rate(self) -> Paced | None:
        """The medians of what was measured at a fixed rate, None if that was not."""
        if not self.paced:
            return None
        return Paced(
            asked=median(run.asked for run in self.paced),
            rps=median(run.rps for run in self.paced),
            p50_ms=median(run.p50_ms for run in self.paced),
            p99_ms=median(run.p99_ms for run in self.paced),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the row of the report."""
        names = {"scenario": self.scenario, "target": self.target}
        if self.error is not None:
            return names | {"error": self.error}
        paced = self.at_fixed_rate()
        fixed = (
            {
                "fixed_rate_asked_rps": round(paced.asked, 1),
                "fixed_rate_rps": round(paced.rps, 1),
                "fixed_rate_p50_ms": round(paced.p50_ms, 4),
                "fixed_rate_p99_ms": round(paced.p99_ms, 4),
            }
            if paced
            else {}
        )
        return {
            **names,
            "rps": round(self.rps, 1),
            "cpu_us_per_request": round(self.cpu_us, 3),
            "p50_ms": round(self.percentile(50), 4),
            "p90_ms": round(self.percentile(90), 4),
            "p99_ms": round(self.percentile(99), 4),
            "rss_mib": round(self.memory.peak_mib, 1),
            "pss_mib": round(self.memory.proportional_mib, 1),
            "own_mib": round(self.memory.own_mib, 1),
            "busy": round(self.busy, 3),
            "waited": round(self.waited, 3),
            **fixed,
            "rounds": [
                {"rps": round(run.rps, 1), "cpu_us_per_request": round(run.cpu_us, 3)} for run in self.rounds
            ],
        }


def find(rows: Iterable[Row], scenario: str, target: str) -> Row | None:
    """Return the row of a target in a scenario, None if it has no figures."""
    for row in rows:
        if (row.scenario, row.target) == (scenario, target) and row.error is None:
            return row
    return None


def ratio(rows: Iterable[Row], row: Row) -> float | None:
    """Return the processor time of a row against its scenario's base, None if one of them has no figures."""
    base = find(rows, row.scenario, row.base)
    return None if base is None or row.error is not None else row.cpu_us / base.cpu_us
