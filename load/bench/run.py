"""Runs the scenarios: all targets of all of them side by side, in turn, so that drift hits all alike."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from load.bench import fixed_rate, wrk
from load.bench.backend import Backend
from load.bench.catalogue import PROXIES, TOKEN_SERVICES
from load.bench.check import CheckError, check_answers, check_counters, check_limits, check_verdicts
from load.bench.contender import Contender
from load.bench.cores import Cores
from load.bench.peers.target import Site, Target
from load.bench.processes import NotStartedError
from load.bench.progress import Progress
from load.bench.rows import Row
from load.bench.scenarios import TWIN, Scenario, guards_of, load_of
from load.bench.tls import Tls, TlsError, check_tls
from load.bench.tokens import Tokens

WARM_UP_SECONDS: Final = 1
PACED_SCENARIO: Final = "token"
PACED_TARGETS: Final = ("bartizan", "nginx")
_FAILURES: Final = (CheckError, TlsError, NotStartedError, AssertionError, httpx.HTTPError, OSError)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and for how long.

    Attributes:
        scenarios: what.
        left_out: targets that are not there, by name.
        rounds: how often each target is driven.
        seconds: for how long each time.
        paced_rounds: how often at a fixed rate.
    """

    scenarios: Sequence[Scenario]
    left_out: Iterable[str] = ()
    rounds: int = 3
    seconds: int = 4
    paced_rounds: int = fixed_rate.ROUNDS

    def targets(self, scenario: Scenario) -> list[str]:
        """Return who takes part in a scenario."""
        return [name for name in scenario.targets if name not in self.left_out or scenario.guards is None]

    def steps(self) -> int:
        """Return how many steps there are to tell of."""
        pairs = sum(len(self.targets(scenario)) for scenario in self.scenarios)
        paced = self.paced_rounds * len(PACED_TARGETS) if self._paces() else 0
        return pairs * (2 + self.rounds) + paced

    def _paces(self) -> bool:
        return any(scenario.name == PACED_SCENARIO for scenario in self.scenarios)


class Bench:
    """A backend with targets in front of it.

    Attributes:
        backend: what all targets forward to.
    """

    def __init__(self, plan: Plan, folder: Path, tokens: Tokens, progress: Progress) -> None:
        """Start the backend.

        Args:
            plan: what to do.
            folder: for all files; unprivileged workers must be able to enter it.
            tokens: for the scenarios that ask for one.
            progress: is told of each step.
        """
        self._plan = plan
        self._folder = folder
        self._tokens = tokens
        self._tls = Tls.made(folder)
        self._progress = progress
        self._cores = Cores()
        self._cores.keep_off()
        self._contenders: list[Contender] = []
        self._limits: dict[str, str | None] = {}
        self._running = ExitStack()
        self._running.callback(self._cores.give_back)
        try:
            self.backend = self._running.enter_context(Backend(folder, tokens.keys))
        except BaseException:
            self._running.close()
            raise

    def run(self) -> list[Row]:
        """Do all of it, stop everything, and return the rows."""
        for scenario in self._plan.scenarios:
            folder = _folder(self._folder, scenario.name)
            load = None if scenario.guards is None else load_of(scenario, self._tokens, folder)
            for name in self._plan.targets(scenario):
                self._progress.step(f"{scenario.name}: starting {name}")
                contender = Contender(scenario, name, load=load, environment=self._tls.environment())
                self._contenders.append(contender)
                try:
                    self._start(contender, _folder(folder, name))
                except _FAILURES as error:
                    contender.error = str(error)
        for contender in self._contenders:
            self._progress.step(f"{contender.scenario.name}: warming up {contender.name}")
            contender.drive(WARM_UP_SECONDS)
            while contender.error is None and contender.sent < contender.scenario.prefill:
                contender.drive(WARM_UP_SECONDS)
        for number in range(self._plan.rounds):
            # The other way round each time: nobody is always the one behind the same other.
            for contender in self._contenders[:: -1 if number % 2 else 1]:
                what = (
                    f"{contender.scenario.name}: round {number + 1} of {self._plan.rounds}, {contender.name}"
                )
                self._progress.step(what)
                measured = contender.drive(self._plan.seconds)
                if measured is not None:
                    contender.rounds.append(measured)
        self._pace()
        for contender in self._contenders:
            contender.weigh()
            self._look_again(contender)
        self.stop()
        return [contender.row() for contender in self._contenders]

    def site(self, folder: Path) -> Site:
        """Return where a proxy stands.

        Args:
            folder: for its files.
        """
        return Site(folder, self.backend.port, self._tokens, self._tls)

    def stop(self) -> None:
        """Stop everything."""
        self._running.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, contender: Contender, folder: Path) -> None:
        scenario, name = contender.scenario, contender.name
        if scenario.guards is None:
            service = TOKEN_SERVICES[name](folder)
            self._keep(contender, service)
            contender.load = service.load(folder)
            service.check()
            return
        proxy = PROXIES[name]
        site = self.site(folder)
        if scenario.guards.limits:
            self._check_limits(name)
        if name == TWIN:
            contender.load = load_of(scenario, self._tokens, folder, few=True)
        self._keep(contender, proxy.start(site, guards_of(scenario, name)))
        assert contender.target is not None
        check_tls(contender.target.url, self._tls)
        check_answers(contender.target, scenario, self._tokens, self._tls, verifies=proxy.verifies)
        if scenario.guards.waf:
            assert contender.load is not None
            if name != scenario.base:
                contender.load = contender.load.with_rules()
            check_verdicts(contender.target, contender.load, self._tls)

    def _keep(self, contender: Contender, target: Target) -> None:
        """Take a target that has started; it is stopped in the end, whatever comes."""

        def stop() -> None:
            try:
                target.stop()
            except AssertionError as error:  # there is an error in its log
                contender.error = str(error)

        contender.target = target
        self._running.callback(stop)
        self._cores.give_proxy(target.worker_pids())

    def _check_limits(self, name: str) -> None:
        """See that a proxy's limits refuse, once: all scenarios have the same."""
        if name not in self._limits:
            site = self.site(_folder(self._folder, f"limits-of-{name}"))
            try:
                check_limits(PROXIES[name].start, site)
            except CheckError as error:
                self._limits[name] = str(error)
            else:
                self._limits[name] = None
        if self._limits[name] is not None:
            raise CheckError(self._limits[name])

    def _pace(self) -> None:
        """Drive the gateway and plain nginx at the same rate, which is a part of what the gateway can do."""
        both = [
            contender
            for contender in self._contenders
            if contender.scenario.name == PACED_SCENARIO and contender.name in PACED_TARGETS
        ]
        peaks = [run.rps for contender in both if contender.name == "bartizan" for run in contender.rounds]
        if not peaks or self._plan.paced_rounds == 0:
            return
        rate = fixed_rate.SHARE * sorted(peaks)[len(peaks) // 2]
        for number in range(self._plan.paced_rounds):
            for contender in both[:: -1 if number % 2 else 1]:
                what = f"{PACED_SCENARIO} at {rate:.0f} a second: round {number + 1}, {contender.name}"
                self._progress.step(what)
                self._pace_one(contender, rate)

    def _pace_one(self, contender: Contender, rate: float) -> None:
        if contender.error is not None or contender.target is None or contender.load is None:
            return
        log = self._folder / "h2load.log"
        try:
            paced = fixed_rate.drive(
                contender.target.url, contender.load.request, rate, self._plan.seconds, log
            )
        except wrk.LoadError as error:
            contender.error = str(error)
        else:
            contender.paced.append(paced)

    def _look_again(self, contender: Contender) -> None:
        scenario = contender.scenario
        if contender.error is not None or contender.target is None or scenario.guards is None:
            return
        try:
            if scenario.guards.lasting and contender.name == "bartizan":
                check_counters(contender.target, scenario, self._tokens, self._tls)
        except _FAILURES as error:
            contender.error = str(error)


def _folder(parent: Path, name: str) -> Path:
    """Make a folder that unprivileged workers may enter."""
    folder = parent / name
    folder.mkdir(mode=0o755)
    return folder
