"""What became of each rule, as the operator reads it."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from bartizan.rules.compile import Compiled, aside_id
from bartizan.rules.gate import Gate
from bartizan.rules.model import Macro, Parts, Rule
from bartizan.rules.problems import Problem
from bartizan.rules.reachable import Why

_PARANOIA: Final = "paranoia-level/"


@dataclass(frozen=True, slots=True)
class Row:
    """One rule.

    Attributes:
        gate: how it is woken; None if it does not run.
        how: what stands for its question: whole, pieces, …, direct; empty where nothing is asked of values.
        dropped: why it does not run, in a word; None if it does.
        reason: the same in a sentence.
    """

    id: int
    phase: int | None
    paranoia: int | None
    tags: tuple[str, ...]
    gate: str | None
    how: str
    dropped: str | None
    reason: str
    message: str
    place: str

    def document(self) -> dict[str, Any]:
        """Return it as JSON's kinds of values."""
        return asdict(self)


def listed(compiled: Compiled) -> list[Row]:
    """Return what became of each rule, in the order of their numbers."""
    rows = [_row(rule, gate) for rule, gate in zip(compiled.plan.rules, compiled.plan.gates, strict=True)]
    rows += [
        _row(dropped.rule, None, dropped.why.value, dropped.reason) for dropped in compiled.reached.dropped
    ]
    rows += [row for problem in compiled.rules.set_aside if (row := _aside(problem)) is not None]
    return sorted(rows, key=lambda row: row.id)


def _row(rule: Rule, gate: Gate | None, dropped: str | None = None, reason: str = "") -> Row:
    paranoia = next((tag.removeprefix(_PARANOIA) for tag in rule.tags if tag.startswith(_PARANOIA)), "")
    return Row(
        id=rule.id,
        phase=rule.phase,
        paranoia=int(paranoia) if paranoia.isdigit() else None,
        tags=rule.tags,
        gate=None if gate is None else gate.kind,
        how="" if gate is None else _how(gate),
        dropped=dropped,
        reason=reason,
        message=_text(rule.links[0].msg),
        place=f"{rule.place.path.name}:{rule.place.line}",
    )


def _how(gate: Gate) -> str:
    found = dict.fromkeys(
        "present" if probe.present else "direct" if probe.patterns is None else probe.patterns.taken.value
        for probe in gate.probes
    )
    return ", ".join(found)


def _aside(problem: Problem) -> Row | None:
    """Return the row of a rule that the reader set aside; None for a mere action of one."""
    number = aside_id(problem)
    if number is None:
        return None
    why = problem.message.partition(": ")[2]
    place = f"{problem.place.path.name}:{problem.place.line}"
    return Row(number, None, None, (), None, "", Why.ASIDE.value, why, "", place)


def _text(parts: Parts) -> str:
    return "".join(
        f"%{{{part.name}{'.' + part.key if part.key else ''}}}" if isinstance(part, Macro) else part
        for part in parts
    )
