"""A target in a scenario, while it is measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from load.bench import proc, wrk
from load.bench.fixed_rate import Paced
from load.bench.peers.target import Target
from load.bench.rows import Memory, Round, Row
from load.bench.scenarios import Scenario
from load.bench.traffic import Load


@dataclass(slots=True)
class Contender:
    """A target in a scenario, with what is known of it so far.

    Attributes:
        scenario: the scenario.
        name: the target's name.
        target: what runs; None if it did not start.
        load: what it is driven with.
        environment: of what drives it.
        sent: how many requests it got.
        rounds: what was measured.
        paced: what was measured at a fixed rate.
        memory: what its worker had in the end.
        error: why there are no figures.
    """

    scenario: Scenario
    name: str
    target: Target | None = None
    load: Load | None = None
    environment: Mapping[str, str] | None = None
    sent: int = 0
    rounds: list[Round] = field(default_factory=list)
    paced: list[Paced] = field(default_factory=list)
    memory: Memory | None = None
    error: str | None = None

    def drive(self, seconds: int) -> Round | None:
        """Drive the target for so long, and return what was measured; None if it has no part any more."""
        if self.error is not None or self.target is None or self.load is None:
            return None
        try:
            pids = self.target.worker_pids()
            before, waited_before = proc.processor_seconds(pids)
            run = wrk.drive(self.target.url, self.load, seconds, self.sent, self.environment)
            used, waited = proc.processor_seconds(pids)
        except wrk.LoadError as error:
            self.error = str(error)
            return None
        except (OSError, psutil.NoSuchProcess) as error:
            self.error = f"its worker is gone: {error}"
            return None
        self.sent += run.requests
        if self.scenario.differs == "token":
            # What was still under way on each connection must not come again.
            self.sent += self.load.connections
        return Round(
            rps=run.requests / run.seconds,
            cpu_us=(used - before) / run.requests * 1e6,
            busy=(used - before) / run.seconds,
            waited=(waited - waited_before) / run.seconds,
            percentiles=run.percentiles,
        )

    def weigh(self) -> None:
        """Note how much memory the worker has."""
        if self.error is not None or self.target is None:
            return
        try:
            (worker,) = self.target.worker_pids()
            self.memory = Memory(
                peak_mib=proc.peak_mib(worker),
                proportional_mib=proc.proportional_mib(worker),
                own_mib=proc.unshared_mib(worker),
            )
        except (OSError, ValueError, psutil.NoSuchProcess) as error:
            self.error = f"its worker is gone: {error}"

    def row(self) -> Row:
        """Return its row of the report."""
        if self.error is not None or self.memory is None:
            return Row(self.scenario.name, self.name, error=self.error or "was not measured")
        return Row(
            self.scenario.name,
            self.name,
            base=self.scenario.base,
            rounds=tuple(self.rounds),
            paced=tuple(self.paced),
            memory=self.memory,
        )
