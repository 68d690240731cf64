"""From statements that follow each other to one rule."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bartizan.rules.actions import Actions, read_actions
from bartizan.rules.model import Link, Operator, Rule, Variable
from bartizan.rules.operators import operator
from bartizan.rules.problems import Mistake, Place, Problem, Refusal
from bartizan.rules.statements import Statement, parse
from bartizan.rules.targets import targets

DEFAULT: Final = Actions(disruptive="pass", log=True, audit_log=True)
DEFAULT_PHASE: Final = 2
# What a link of a chain may say beside its first: the rest is said of the whole rule, by the first.
# (nolog and its like change nothing there, but the Core Rule Set repeats them.)
_OF_A_LINK: Final = frozenset(
    {
        "auditlog",
        "capture",
        "chain",
        "ctl",
        "log",
        "logdata",
        "msg",
        "multiMatch",
        "noauditlog",
        "nolog",
        "setvar",
        "t",
    }
)


@dataclass(slots=True)
class Chain:
    """A rule that is being read.

    Attributes:
        core: whether it is one of the Core Rule Set, from which what is deliberately refused may be left out.
        head: the actions of its first link.
        aside: why it can't be a rule here; None while it can.
        left_out: actions that were left out of it.
        whole: whether its last link was read.
    """

    place: Place
    core: bool
    head: Actions = field(default_factory=Actions)
    links: list[Link] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    aside: str | None = None
    left_out: list[Problem] = field(default_factory=list)
    whole: bool = False

    @property
    def phase(self) -> int:
        """When it runs."""
        return self.head.phase or DEFAULT_PHASE

    def add(self, statement: Statement, defaults: Mapping[int, Actions]) -> None:
        """Read a SecRule or SecAction: it becomes a link, or problems.

        Args:
            statement: with the name SecRule or SecAction.
            defaults: what SecDefaultAction says so far, by phase.
        """
        place = statement.place
        try:
            read = parse(f"{statement.name} {statement.text}")
        except Mistake as mistake:
            self.problems.append(Problem(place, str(mistake)))
            # Nobody knows whether the chain would have gone on.
            self.whole = True
            return
        actions, mistakes = read_actions(read["actions"])
        if not self.links:
            self.head = actions
            if "id" not in actions.names:
                mistakes.append(
                    Mistake("the rule has no id; give it one that no other rule has, such as id:1000")
                )
        else:
            mistakes += [
                Mistake(f"the action {name} belongs to the first rule of the chain")
                for name in dict.fromkeys(actions.names)
                if name not in _OF_A_LINK
            ]
        for wrong in mistakes:
            left_out = isinstance(wrong, Refusal) and self.core
            (self.left_out if left_out else self.problems).append(Problem(place, str(wrong)))
        variables: tuple[Variable, ...] = ()
        asked: Operator | None = None
        if "variables" in read:
            with self.judged(place):
                variables = targets(read["variables"])
            with self.judged(place):
                asked = _operator(read, place)
        self.links.append(_link(place, variables, asked, actions, defaults.get(self.phase, DEFAULT)))
        self.whole = not actions.chained

    @contextmanager
    def judged(self, place: Place) -> Iterator[None]:
        """Keep a mistake of targets or operator; a refusal sets a rule of the core aside, whole."""
        try:
            yield
        except Mistake as mistake:
            if isinstance(mistake, Refusal) and self.core:
                self.aside = self.aside or str(mistake)
            else:
                self.problems.append(Problem(place, str(mistake)))

    def rule(self, default: Actions) -> Rule:
        """Return the finished rule.

        Args:
            default: what SecDefaultAction says of its phase.
        """
        head = self.head
        blocks = head.disruptive == "block"
        inherits = blocks or head.disruptive is None
        disruptive, argument = (
            (default.disruptive, default.argument) if inherits else (head.disruptive, head.argument)
        )
        status = head.status
        if status is None and inherits:
            status = default.status
        return Rule(
            id=head.id or 0,
            phase=self.phase,
            links=tuple(self.links),
            disruptive=disruptive or "pass",
            blocks=blocks,
            argument=argument,
            status=status,
            tags=(*default.tags, *head.tags),
            severity=head.severity,
            ver=head.ver,
            rev=head.rev,
            log=bool(default.log if head.log is None else head.log),
            audit_log=bool(default.audit_log if head.audit_log is None else head.audit_log),
            skip_after=head.skip_after,
        )


def _operator(read: dict[str, Any], place: Place) -> Operator:
    if all(one["negated"] for one in read["variables"]):
        raise Mistake("the rule looks at nothing: all its targets are exclusions")
    return operator(
        read["operator"],
        read["operator_argument"],
        place.path.parent,
        negated=bool(read.get("operator_negated")),
    )


def _link(
    place: Place, variables: tuple[Variable, ...], asked: Operator | None, actions: Actions, default: Actions
) -> Link:
    inherited = () if actions.cleared else tuple(default.transformations)
    return Link(
        place=place,
        variables=variables,
        operator=asked,
        transformations=(*inherited, *actions.transformations),
        multi_match=actions.multi_match,
        capture=actions.capture,
        setvars=tuple(actions.setvars),
        ctls=tuple(actions.ctls),
        msg=actions.msg,
        logdata=actions.logdata,
        chained=actions.chained,
    )
