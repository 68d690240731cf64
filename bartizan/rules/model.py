"""Rules as they were read: everything a rule says, nothing that it doesn't."""

from dataclasses import dataclass
from pathlib import Path

from bartizan.rules.problems import Place, Problem


@dataclass(frozen=True, slots=True)
class Macro:
    """`%{tx.foo}`: a value that is put in when the rule runs.

    Attributes:
        name: the variable or collection, in upper case.
        key: the member of the collection, in lower case for TX; None for a plain variable.
    """

    name: str
    key: str | None = None


Parts = tuple[str | Macro, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """One entry of a rule's list of targets.

    Attributes:
        name: in upper case, as the reference manual writes it.
        selector: the member of a collection, or what a regular expression says of it; None for all of it.
        regex: whether the selector is a regular expression (then without its slashes).
        excluded: `!`: these are left out.
        count: `&`: how many there are, and not what they are.
    """

    name: str
    selector: str | None = None
    regex: bool = False
    excluded: bool = False
    count: bool = False


@dataclass(frozen=True, slots=True)
class Operator:
    """What is asked of each value.

    Attributes:
        name: as the reference manual writes it, without the @.
        argument: with its macros.
        negated: `!`.
        file: where the phrases or networks are read from; None but for the operators that read a file.
        entries: what that file holds, without comments and empty lines.
    """

    name: str
    argument: Parts
    negated: bool = False
    file: Path | None = None
    entries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setvar:
    """One setvar action.

    Attributes:
        key: the member of TX that is set, in lower case; it may have macros.
        change: `=` (becomes), `+` (grows by), `-` (shrinks by), `!` (is taken away).
        value: empty for `!`.
    """

    key: Parts
    change: str
    value: Parts


@dataclass(frozen=True, slots=True)
class Ctl:
    """One ctl action, for the rest of the request.

    Attributes:
        name: what is changed, such as ruleRemoveTargetById.
        value: what it becomes, or the ids, tag or message that are meant.
        target: what is left out of those rules; None but for ruleRemoveTarget*.
    """

    name: str
    value: str
    target: Variable | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One SecRule or SecAction of a chain.

    Attributes:
        variables: none for a SecAction.
        operator: None for a SecAction, which always holds.
        transformations: in order; what SecDefaultAction adds is in it, t:none has done its work.
        chained: whether another link must hold, too.
    """

    place: Place
    variables: tuple[Variable, ...]
    operator: Operator | None
    transformations: tuple[str, ...] = ()
    multi_match: bool = False
    capture: bool = False
    setvars: tuple[Setvar, ...] = ()
    ctls: tuple[Ctl, ...] = ()
    msg: Parts = ()
    logdata: Parts = ()
    chained: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A chain of one or more links.

    Attributes:
        disruptive: what becomes of the request: pass, deny, drop, allow, allow:phase, allow:request, redirect
            (block has become what SecDefaultAction says of the phase).
        blocks: whether it says block, so that anomaly scoring may decide otherwise.
        severity: 0 (emergency) to 7 (debug); None where it says none.
        skip_after: the marker or rule id where reading goes on if it matches.
    """

    id: int
    phase: int
    links: tuple[Link, ...]
    disruptive: str = "pass"
    blocks: bool = False
    argument: str = ""
    status: int | None = None
    tags: tuple[str, ...] = ()
    severity: int | None = None
    ver: str = ""
    rev: str = ""
    log: bool = True
    audit_log: bool = True
    skip_after: str | None = None

    @property
    def place(self) -> Place:
        """Where it begins."""
        return self.links[0].place


@dataclass(frozen=True, slots=True)
class Marker:
    """Where skipAfter may go on."""

    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All that a list of files says.

    Attributes:
        entries: rules and markers, in the order in which they run within each phase.
        set_aside: rules of the Core Rule Set that need what Bartizan deliberately does not do, each with why.
        signatures: SecComponentSignature, in order.
        files: every file that was read, data files too.
    """

    entries: tuple[Rule | Marker, ...]
    set_aside: tuple[Problem, ...] = ()
    signatures: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules, in order."""
        return tuple(entry for entry in self.entries if isinstance(entry, Rule))
