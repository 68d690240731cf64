"""Runs the scenarios: all targets of one side by side, in turn, so that drift of the machine hits all alike."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from load.bench import proc, wrk
from load.bench.backend import Backend
from load.bench.check import CheckError, check
from load.bench.cores import Cores
from load.bench.peers.bartizan import Bartizan
from load.bench.peers.envoy import Envoy, EnvoyWithCache
from load.bench.peers.haproxy import Haproxy
from load.bench.peers.nginx import Nginx
from load.bench.peers.target import Guards, Site, Target
from load.bench.processes import NotStartedError
from load.bench.rows import Round, Row
from load.bench.scenarios import Scenario, write_load
from load.bench.tokens import Tokens

PEERS: Final[dict[str, Callable[[Site, Guards], Target]]] = {
    "bartizan": Bartizan,
    "nginx": Nginx,
    "haproxy": Haproxy,
    "envoy": Envoy,
    "envoy-cache": EnvoyWithCache,
}
CANNOT_VERIFY: Final = {"nginx"}
WARM_UP_SECONDS: Final = 1

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long everything takes.

    Attributes:
        rounds: how often each target is driven.
        seconds: for how long each time.
    """

    rounds: int = 3
    seconds: int = 4


@dataclass(slots=True)
class _Contender:
    name: str
    target: Target
    sent: int = 0
    rounds: list[Round] = field(default_factory=list)
    error: str | None = None


class Bench:
    """A running backend, and what is needed to drive targets in front of it."""

    def __init__(self, folder: Path, tokens: Tokens, cores: Cores, tell: Tell) -> None:
        self._folder = folder
        self._tokens = tokens
        self._cores = cores
        self._tell = tell
        self._backend = Backend(folder, tokens.keys)

    def stop(self) -> None:
        """Stop the backend."""
        self._backend.stop()

    def run(self, scenario: Scenario, targets: tuple[str, ...], plan: Plan) -> list[Row]:
        """Measure targets in a scenario."""
        folder = self._folder / scenario.name
        folder.mkdir(mode=0o755)
        load = write_load(scenario, self._tokens, folder)
        failed: dict[str, str] = {}
        with ExitStack() as stack:
            contenders = []
            for name in targets:
                self._tell(f"{scenario.name}: starting {name}")
                try:
                    target = self._start(stack, name, scenario, folder)
                except (CheckError, NotStartedError, AssertionError) as error:
                    failed[name] = str(error)
                else:
                    contenders.append(_Contender(name, target))
            for contender in contenders:
                self._tell(f"{scenario.name}: warming up {contender.name}")
                self._drive(contender, load, WARM_UP_SECONDS)
                while contender.error is None and contender.sent < scenario.prefill:
                    self._drive(contender, load, WARM_UP_SECONDS)
                contender.rounds.clear()
            for number in range(plan.rounds):
                # The other way round each time: nobody is always the one behind the same other.
                for contender in contenders[:: -1 if number % 2 else 1]:
                    self._tell(f"{scenario.name}: round {number + 1} of {plan.rounds}, {contender.name}")
                    self._drive(contender, load, plan.seconds)
            rows = {contender.name: self._row(scenario, contender) for contender in contenders}
        return [
            rows[name] if name in rows else Row(scenario.name, name, error=failed[name]) for name in targets
        ]

    def _start(self, stack: ExitStack, name: str, scenario: Scenario, folder: Path) -> Target:
        own = folder / name
        own.mkdir(mode=0o755)
        target = stack.enter_context(
            PEERS[name](Site(own, self._backend.port, self._tokens), scenario.guards)
        )
        self._cores.give_proxy(target.worker_pids())
        check(target, scenario, self._tokens, verifies=name not in CANNOT_VERIFY)
        return target

    def _drive(self, contender: _Contender, load: wrk.Load, seconds: int) -> None:
        if contender.error is not None:
            return
        pids = contender.target.worker_pids()
        before = proc.processor_seconds(pids)
        try:
            run = wrk.drive(contender.target.url, load, seconds, contender.sent)
        except wrk.LoadError as error:
            contender.error = str(error)
            return
        used = proc.processor_seconds(pids) - before
        # What was still under way on each connection had its value, too.
        contender.sent += run.requests + wrk.CONNECTIONS
        contender.rounds.append(
            Round(run.requests / run.seconds, used / run.requests * 1e6, used / run.seconds, run.percentiles)
        )

    def _row(self, scenario: Scenario, contender: _Contender) -> Row:
        if contender.error is not None:
            return Row(scenario.name, contender.name, error=contender.error)
        (worker,) = contender.target.worker_pids()
        return Row(
            scenario.name,
            contender.name,
            contender.rounds,
            rss_mib=proc.peak_mib(worker),
            pss_mib=proc.proportional_mib(worker),
        )


@contextmanager
def bench(folder: Path, tokens: Tokens, cores: Cores, tell: Tell) -> Iterator[Bench]:
    """Run a backend in a folder, which is removed in the end with all that is in it."""
    running = Bench(folder, tokens, cores, tell)
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder)
