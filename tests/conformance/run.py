"""Runs a suite: everything is sent first, then the log is read, then all is judged."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress

from tests.conformance.backend import Backend
from tests.conformance.engines.engine import Engine
from tests.conformance.judge import Observation, judge
from tests.conformance.overrides import Override, check_names
from tests.conformance.sender import Sent, send
from tests.conformance.suites import Selection, Suite, SuiteError, select


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that did not come out as it must."""

    test: str
    why: str


@dataclass(slots=True)
class Ran:
    """What came of a suite.

    Attributes:
        crs: the release.
        families: of rules.
        selection: what was run and what not.
        passed: how many tests came out as the suite says.
        excused: those that came out as an override says, with its reason.
        failed: the others.
        stale: overrides of tests that pass.
    """

    crs: str
    families: range
    selection: Selection
    passed: int = 0
    excused: list[Failure] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    stale: list[Failure] = field(default_factory=list)

    @property
    def ran(self) -> int:
        """How many tests were run and judged."""
        return self.passed + len(self.excused) + len(self.failed)

    @property
    def good(self) -> bool:
        """Whether nothing came out otherwise than is known, and something was run."""
        return not self.failed and not self.stale and self.ran > 0


async def run(
    suite: Suite,
    start: Callable[[Suite, int], Engine],
    *,
    families: range,
    bodies: Iterable[str] = (),
    only: str = "",
) -> Ran:
    """Run a suite against an engine that is started for it.

    Raises:
        SuiteError: if a test was selected and not judged.
        OverridesError: if an override is for no test.
    """
    selection = select(suite, families, bodies, only)
    async with Backend() as backend:
        with start(suite, backend.port) as engine:
            overrides = engine.overrides()
            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task(f"CRS {suite.crs}", total=len(selection.tests))
                sent = await send(selection.tests, engine.port, lambda: progress.advance(task))
            # The log may need a request to be read to its end, and the backend to answer it meanwhile.
            observed = await asyncio.to_thread(engine.observe, sent)
    ran = Ran(suite.crs, families, selection)
    if engine.strict:
        check_names(overrides, selection.names)
    judge_all(ran, sent, observed, overrides, strict=engine.strict)
    if ran.ran != len(selection.tests):
        raise SuiteError(f"{len(selection.tests)} tests were selected, {ran.ran} were judged")
    return ran


def judge_all(
    ran: Ran,
    sent: Iterable[Sent],
    observed: Iterable[Observation],
    overrides: Mapping[str, Override],
    *,
    strict: bool = True,
) -> None:
    """Judge every test, by its suite and then by its override.

    Args:
        ran: is told.
        sent: what was sent.
        observed: what came of each.
        overrides: by the name of the test.
        strict: whether an override of a test that passes is an error.
    """
    stages: dict[str, list[tuple[Sent, Observation]]] = {}
    for one, seen in zip(sent, observed, strict=True):
        stages.setdefault(one.test.name, []).append((one, seen))
    for name, pairs in stages.items():
        faults = [fault for one, seen in pairs for fault in judge(one.stage.output, seen)]
        override = overrides.get(name)
        if not faults:
            ran.passed += 1
            if override is not None and strict:
                ran.stale.append(Failure(name, f"passes, though an override says: {override.reason.strip()}"))
        elif override is None:
            ran.failed.append(Failure(name, "; ".join(faults)))
        elif override.output is not None and (
            others := [fault for _, seen in pairs for fault in judge(override.output, seen)]
        ):
            ran.failed.append(Failure(name, f"not even as its override says: {'; '.join(others)}"))
        else:
            ran.excused.append(Failure(name, override.reason.strip()))
