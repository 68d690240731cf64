"""How each rule is woken: by values, by other rules' matches, on every request, or always.

A rule is asked of values where one of its links is a question about values alone; the link is chosen that
says yes the least often. The others look at TX and at what matched: they are evaluated only once a rule
matched whole, if it is sure that before that they have no visible effect. What is left is evaluated on
every request.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from bartizan.rules.captures import through_capture
from bartizan.rules.constants import STATE, Constants, Readers, Unknown, macros, text_of
from bartizan.rules.model import Link, Macro, Operator, Rule, Setvar, Variable
from bartizan.rules.patterns import Patterns, patterns_of
from bartizan.rules.questions import Outcome, answers, holds
from bartizan.rules.samples import SAMPLED, how_often_sent, samples_of, share_of_samples

VOLATILE: Final = frozenset({
    "DURATION", "REMOTE_PORT", "TIME", "TIME_DAY", "TIME_EPOCH", "TIME_HOUR", "TIME_MIN", "TIME_MON",
    "TIME_SEC", "TIME_WDAY", "TIME_YEAR", "UNIQUE_ID",
})  # fmt: skip
"""Variables that are different in every request: remembering what was asked of them would be in vain."""

COLLECTIONS: Final = {
    "ARGS": "ARGS", "ARGS_GET": "ARGS", "ARGS_POST": "ARGS",
    "ARGS_NAMES": "ARGS_NAMES", "ARGS_GET_NAMES": "ARGS_NAMES", "ARGS_POST_NAMES": "ARGS_NAMES",
    "REQUEST_COOKIES": "REQUEST_COOKIES", "REQUEST_COOKIES_NAMES": "REQUEST_COOKIES_NAMES",
    "REQUEST_HEADERS": "REQUEST_HEADERS", "REQUEST_HEADERS_NAMES": "REQUEST_HEADERS_NAMES",
}  # fmt: skip
"""The collections, each with the one that has a kind."""

FAMILIES: Final = {
    "ARGS": "arguments", "ARGS_NAMES": "arguments", "REQUEST_COOKIES": "arguments",
    "REQUEST_COOKIES_NAMES": "arguments", "REQUEST_HEADERS": "headers", "REQUEST_HEADERS_NAMES": "headers",
    "REQUEST_FILENAME": "path",
}  # fmt: skip
"""Whose databases hold much. All else shares one: of the whole target and line, which are long and new each
time, little is asked, and in a large database that takes ten times as long."""

_TRUE_OFTEN: Final = frozenset({"eq", "ge", "gt", "le", "lt"})
_HOT: Final = 0.6
_WARM: Final = 0.25
_REMOVES: Final = "ruleRemove"


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """A kind of value: a variable, all members of a collection, or one named member."""

    collection: str
    selector: str = ""

    @property
    def family(self) -> str:
        """The name of the databases that it shares with kinds of which much the same is asked."""
        return FAMILIES.get(self.collection, "request")


@dataclass(frozen=True, slots=True)
class Probe:
    """One question that is asked of values of some kinds.

    Attributes:
        link: of the rule.
        kinds: what it is asked of.
        chain: the transformations before.
        patterns: what stands for it in a database; None where the operator is asked itself.
        operator: what is asked where it is not the link's own.
        present: the value need only be there.
    """

    link: int
    kinds: tuple[Kind, ...]
    chain: tuple[str, ...] = ()
    patterns: Patterns | None = None
    operator: Operator | None = None
    present: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    """How a rule is woken.

    Attributes:
        kind: values, state, request or always.
        link: which of its links decides; None where the whole rule does.
        probes: of kind values only.
        stirs: whether its match can change what a rule of kind state sees.
        prepares: whether all it does is to take other rules out.
    """

    kind: str
    link: int | None = None
    probes: tuple[Probe, ...] = ()
    stirs: bool = True
    prepares: bool = False


def gates_of(rules: Iterable[Rule], tx: dict[str, str]) -> list[Gate]:
    """Choose for each rule how it is woken.

    Args:
        rules: in the order in which they run.
        tx: the variables of TX that every request begins with.
    """
    rules = list(rules)
    chosen = [_chosen(at, rules, tx) for at in range(len(rules))]
    looking = Readers()
    for rule, gate in zip(rules, chosen, strict=True):
        if gate is None:
            looking.add(rule)
    quiet = _quiet(rules, chosen, tx)
    return [
        replace(
            gate or Gate("state" if quiet[at] else "always"),
            stirs=any(looking.reads(setvar.key) for link in rule.links for setvar in link.setvars),
            prepares=_only_prepares(rule),
        )
        for at, (rule, gate) in enumerate(zip(rules, chosen, strict=True))
    ]


def _chosen(at: int, rules: list[Rule], tx: dict[str, str]) -> Gate | None:
    """Return the best gate that a rule's links offer; None where all they look at is state."""
    rule = rules[at]
    offers: list[tuple[Link, int, Gate]] = []
    for number, link in enumerate(rule.links):
        if (offer := _offered(number, link)) is not None:
            offers.append((link, number, offer))
        derived = through_capture(at, number, rules, tx)
        if derived is not None and _is_asked_of_values(link):
            probes = (Probe(number, _kinds(link), chain, derived) for chain in chains_of(link))
            return Gate("values", number, tuple(probes))
        # Whatever a link does before the one that decides would not be done.
        if link.ctls or (link.setvars and link.chained and _is_read_elsewhere(at, link, rules)):
            break
    if len(offers) == 1:
        return offers[0][2]
    if offers:
        return min(offers, key=lambda offer: _price(offer[2], offer[0], offer[1]))[2]
    looked_at = {variable.name for link in rule.links for variable in link.variables}
    macro_names = {macro.name for link in rule.links for macro in _deciding_macros(link)}
    return None if (looked_at | macro_names) <= STATE else Gate("request")


def _is_read_elsewhere(at: int, link: Link, rules: list[Rule]) -> bool:
    others = Readers()
    for number, other in enumerate(rules):
        if number != at:
            others.add(other)
    return any(others.reads(setvar.key) for setvar in link.setvars)


def _offered(number: int, link: Link) -> Gate | None:
    """Return what a link alone offers."""
    operator = link.operator
    if operator is None or (text_of(operator.argument) is None and not operator.entries):
        return None
    targets = [variable for variable in link.variables if not variable.excluded]
    names = {variable.name for variable in targets}
    if names & STATE:
        return None
    present = [variable for variable in targets if variable.count and _means_present(operator, variable)]
    if names & VOLATILE or len(present) < sum(variable.count for variable in targets):
        return Gate("request", number)
    probes: list[Probe] = []
    if present:
        probes.append(Probe(number, tuple(map(_kind, present)), present=True))
    if kinds := tuple(dict.fromkeys(_kind(variable) for variable in targets if not variable.count)):
        if operator.name == "unconditionalMatch" and not operator.negated:
            probes.append(Probe(number, kinds, present=True))
        else:
            probes += [
                _cooled(Probe(number, kinds, chain, patterns_of(operator))) for chain in chains_of(link)
            ]
    return Gate("values", number, tuple(probes))


def _cooled(probe: Probe) -> Probe:
    """Keep out of a database what is hit all the time: for every hit there the value is scanned again."""
    if probe.patterns is None:
        return probe
    if all(share_of_samples(kind.collection, kind.selector, probe.patterns) >= _HOT for kind in probe.kinds):
        return replace(probe, chain=(), patterns=None, present=True)
    families = {kind.family for kind in probe.kinds}
    collections = [name for name in SAMPLED if Kind(name).family in families]
    if share_of_samples(collections, "", probe.patterns) > _WARM:
        return replace(probe, patterns=None)
    return probe


def chains_of(link: Link) -> list[tuple[str, ...]]:
    """Return the chains of transformations after which a link's operator is asked."""
    whole = link.transformations
    return [whole[:length] for length in range(len(whole) + 1)] if link.multi_match else [whole]


def _is_asked_of_values(link: Link) -> bool:
    return bool(link.variables) and not any(
        variable.count or variable.name in STATE | VOLATILE for variable in link.variables
    )


def _means_present(operator: Operator, variable: Variable) -> bool:
    """Say whether a count of a named member asks no more than whether it is there."""
    if variable.selector is None or variable.regex or variable.name not in COLLECTIONS:
        return False
    argument = text_of(operator.argument) or ""
    return answers(operator, "0", argument) is False and answers(operator, "1", argument) is True


def _kinds(link: Link) -> tuple[Kind, ...]:
    return tuple(dict.fromkeys(_kind(variable) for variable in link.variables if not variable.excluded))


def _kind(variable: Variable) -> Kind:
    collection = COLLECTIONS.get(variable.name, variable.name)
    named = variable.selector is not None and not variable.regex and not collection.endswith("_NAMES")
    return Kind(collection, (variable.selector or "").lower() if named else "")


def _price(gate: Gate, link: Link, number: int) -> tuple[float, int]:
    """Return how often a gate says yes to what is harmless, as far as that is known beforehand."""
    if gate.kind == "request":
        return 0.5, number
    shares = [
        how_often_sent(kind.selector) * _share(probe, kind, link)
        for probe in gate.probes
        for kind in probe.kinds
    ]
    return max(shares), number


def _share(probe: Probe, kind: Kind, link: Link) -> float:
    if probe.present or link.operator is None:
        return 1.0
    if probe.patterns is not None:
        return share_of_samples(kind.collection, kind.selector, probe.patterns)
    operator, argument = link.operator, text_of(link.operator.argument) or ""
    said = [
        answers(operator, value.decode(), argument) for value in samples_of(kind.collection, kind.selector)
    ]
    if None not in said and "length" not in link.transformations:
        return sum(map(bool, said)) / len(said)
    return 0.5 if operator.name in _TRUE_OFTEN and not operator.negated else 0.1


def _deciding_macros(link: Link) -> Iterator[Macro]:
    """Yield the macros on which it depends whether a link holds."""
    return macros(replace(link, msg=(), logdata=(), setvars=()))


def _only_prepares(rule: Rule) -> bool:
    ctls = [ctl for link in rule.links for ctl in link.ctls]
    return (
        bool(ctls)
        and all(ctl.name.startswith(_REMOVES) for ctl in ctls)
        and not any(link.setvars for link in rule.links)
        and rule.disruptive == "pass"
        and not rule.log
        and rule.skip_after is None
    )


def _quiet(rules: list[Rule], chosen: list[Gate | None], tx: dict[str, str]) -> list[bool]:
    """Say of each rule whether it surely does nothing visible while no rule has matched.

    Only what half-matched chains may set is not known then.
    """
    known = Constants(tx)
    for rule, gate in zip(rules, chosen, strict=True):
        if gate is not None:
            for link in rule.links[:-1]:
                for setvar in link.setvars:
                    known.forget(setvar.key)
    found: list[bool] = []
    for rule, gate in zip(rules, chosen, strict=True):
        quiet = gate is not None or _does_nothing(rule, known)
        if not quiet:
            for setvar in (setvar for link in rule.links for setvar in link.setvars):
                known.forget(setvar.key)
        found.append(quiet)
    return found


def _does_nothing(rule: Rule, known: Constants) -> bool:
    for number, link in enumerate(rule.links):
        outcome = _holds_quietly(link, known)
        if outcome is Outcome.NEVER:
            return True
        if (
            outcome is Outcome.DOUBTFUL
            or link.ctls
            or not all(_changes_nothing(setvar, known) for setvar in link.setvars)
        ):
            return False
        if number + 1 == len(rule.links):
            break
    return rule.disruptive == "pass" and rule.skip_after is None and not (rule.log and rule.links[0].msg)


def _holds_quietly(link: Link, known: Constants) -> Outcome:
    """Say whether a link holds while nothing has matched: then nothing is in MATCHED_VARS and the like."""
    targets = [variable for variable in link.variables if not variable.excluded]
    if targets and all(variable.name.startswith("MATCHED_") and not variable.count for variable in targets):
        return Outcome.NEVER
    selected = [variable for variable in targets if variable.name == "TX" and variable.regex]
    if targets and len(selected) == len(targets) and not any(variable.count for variable in targets):
        return (
            Outcome.NEVER if all(known.none_selected(variable) for variable in selected) else Outcome.DOUBTFUL
        )
    return holds(link, known)


def _changes_nothing(setvar: Setvar, known: Constants) -> bool:
    change = known.changed(setvar)
    if change is None:
        return False
    before = known.value(change[0])
    return not isinstance(before, Unknown) and (before or "0") == (change[1] or "0")
