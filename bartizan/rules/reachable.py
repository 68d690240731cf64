"""Which rules can ever match under a policy's settings, and what is settled before any request.

The rules are walked through in the order in which they run, with the variables of TX as far as they are
known. A rule that certainly matches on what is known has its effect here and leaves the plan; one that
certainly does not match leaves it, too; what a settled skipAfter jumps over is never read. Where anything
is in doubt a rule stays.

A rule that was settled here can be removed at run time (ctl:ruleRemoveBy...) only by its id: then it stays.
Core Rule Set rules that are removed by tag take what they would have skipped with them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from bartizan.rules.constants import UNKNOWN, Constants, Readers, text_of
from bartizan.rules.model import Link, Marker, Parts, Rule, RuleSet, Setvar, Variable
from bartizan.rules.questions import Outcome, holds
from bartizan.rules.settings import Exclusion, RuleSettings

PHASES: Final = (1, 2)
LATER: Final = frozenset({
    "AUTH_TYPE", "FILES", "FILES_COMBINED_SIZE", "FILES_NAMES", "FILES_SIZES", "FILES_TMPNAMES",
    "FILES_TMP_CONTENT", "INBOUND_DATA_ERROR", "MULTIPART_BOUNDARY_QUOTED",
    "MULTIPART_BOUNDARY_WHITESPACE", "MULTIPART_CRLF_LF_LINES", "MULTIPART_DATA_AFTER",
    "MULTIPART_DATA_BEFORE", "MULTIPART_FILENAME", "MULTIPART_FILE_LIMIT_EXCEEDED",
    "MULTIPART_HEADER_FOLDING", "MULTIPART_INVALID_HEADER_FOLDING", "MULTIPART_INVALID_PART",
    "MULTIPART_INVALID_QUOTING", "MULTIPART_LF_LINE", "MULTIPART_MISSING_SEMICOLON",
    "MULTIPART_NAME", "MULTIPART_PART_HEADERS", "MULTIPART_SEMICOLON_MISSING",
    "MULTIPART_STRICT_ERROR", "MULTIPART_UNMATCHED_BOUNDARY", "OUTBOUND_DATA_ERROR",
    "RESPONSE_BODY", "RESPONSE_CONTENT_LENGTH", "RESPONSE_CONTENT_TYPE", "RESPONSE_HEADERS",
    "RESPONSE_HEADERS_NAMES", "RESPONSE_PROTOCOL", "RESPONSE_STATUS", "STATUS_LINE", "XML",
})  # fmt: skip
"""Variables of multipart bodies, XML and answers, which the edge does not collect yet."""

_SCORE: Final = "score"


class Why(Enum):
    """Why a rule is not in the plan."""

    SETTLED = "settled"
    UNREACHABLE = "unreachable"
    NEVER = "never matches"
    LATER = "later half"
    EXCLUDED = "excluded"
    IDLE = "idle"
    ASIDE = "set aside"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A rule that is not in the plan.

    Attributes:
        reason: one sentence for the operator, without a full stop.
    """

    rule: Rule
    why: Why
    reason: str


@dataclass(slots=True)
class Phase:
    """What is left of a phase.

    Attributes:
        markers: where reading goes on after a skip: how many of the rules stand before each.
    """

    number: int
    rules: list[Rule] = field(default_factory=list)
    markers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reachable:
    """What is left of the rules.

    Attributes:
        phases: in the order in which they run.
        dropped: every other rule, with its reason.
        tx: the variables of TX that every request begins with.
    """

    phases: tuple[Phase, ...]
    dropped: tuple[Dropped, ...]
    tx: dict[str, str]

    @property
    def rules(self) -> Iterator[Rule]:
        """The rules that are left, in the order in which they run."""
        for phase in self.phases:
            yield from phase.rules


def reach(rules: RuleSet, settings: RuleSettings) -> Reachable:
    """Walk through all rules under a policy's settings."""
    return _Walk(rules, settings).run()


class _Walk:
    def __init__(self, rules: RuleSet, settings: RuleSettings) -> None:
        self._rules = rules
        self._exclusions = settings.exclusions
        self._decided = settings.constants()
        self._tx = {"crs_setup_version": _setup_version(rules), **self._decided}
        self._known = Constants(self._tx)
        self._read = Readers()
        self._written: list[Parts] = []
        self._dropped: list[Dropped] = []
        self._removals: list[str] = []

    def run(self) -> Reachable:
        phases = tuple(self._phase(number) for number in PHASES)
        self._dropped += [
            Dropped(rule, Why.LATER, f"phase {rule.phase} judges answers or the log, which is not done yet")
            for rule in self._rules.rules
            if rule.phase not in PHASES
        ]
        self._drop_idle(phases)
        return Reachable(phases, tuple(self._dropped), self._tx)

    def _drop_idle(self, phases: tuple[Phase, ...]) -> None:
        """Drop rules that do nothing but set what no rule reads, and so on with what only they read."""
        while True:
            read = Readers()
            for rule in (rule for phase in phases for rule in phase.rules):
                read.add(rule)
            idle = [(phase, rule) for phase in phases for rule in phase.rules if _is_idle(rule, read)]
            if not idle:
                return
            for phase, rule in idle:
                self._drop(rule, Why.IDLE, "it only sets variables that no rule reads")
                at = phase.rules.index(rule)
                del phase.rules[at]
                phase.markers = {name: place - (place > at) for name, place in phase.markers.items()}

    def _phase(self, phase_number: int) -> Phase:
        phase = Phase(phase_number)
        entries = [
            entry for entry in self._rules.entries if isinstance(entry, Marker) or entry.phase == phase_number
        ]
        skipped_by: Rule | None = None
        doubtful: list[str] = []  # markers up to which a rule may have skipped
        for at, entry in enumerate(entries):
            name = entry.name if isinstance(entry, Marker) else str(entry.id)
            if skipped_by is not None:
                if isinstance(entry, Rule):
                    self._drop(
                        entry,
                        Why.UNREACHABLE,
                        f"rule {skipped_by.id} always skips it under this policy's settings",
                    )
                if skipped_by.skip_after == name:
                    skipped_by = None
            elif isinstance(entry, Rule):
                stays, skips = self._rule(entry, bool(doubtful))
                if stays is not None:
                    phase.rules.append(stays)
                if skips is Outcome.CERTAIN:
                    skipped_by = entry
                elif skips is Outcome.DOUBTFUL:
                    doubtful.append(_landing(entry, entries[at + 1 :]))
            doubtful = [marker for marker in doubtful if marker != name]
            phase.markers[name] = len(phase.rules)
        wanted = {rule.skip_after for rule in phase.rules}
        phase.markers = {name: at for name, at in phase.markers.items() if name in wanted}
        return phase

    def _rule(self, rule: Rule, doubtful: bool) -> tuple[Rule | None, Outcome]:
        """Judge one rule: what stays of it, and whether it skips."""
        excluded = self._excluded(rule)
        if excluded is not None:
            self._drop(rule, Why.EXCLUDED, f"the policy excludes {excluded}")
            return None, Outcome.NEVER
        narrowed, why = _collected(self._narrowed(rule))
        if narrowed is None:
            self._drop(rule, Why.LATER, why)
            return None, Outcome.NEVER
        outcome = self._judged(narrowed)
        if outcome is Outcome.NEVER:
            self._drop(rule, Why.NEVER, "a question of it is about settings, and its answer is no")
            return None, Outcome.NEVER
        certain = outcome is Outcome.CERTAIN and not doubtful
        removable = any(_in_ranges(rule.id, text) for text in self._removals)
        if certain and not removable and self._settle(narrowed):
            self._drop(rule, Why.SETTLED, "what it asks and does is settled by this policy's settings")
            return None, Outcome.CERTAIN if rule.skip_after else Outcome.NEVER
        kept = self._keep(narrowed)
        return kept, Outcome.DOUBTFUL if rule.skip_after else Outcome.NEVER

    def _judged(self, rule: Rule) -> Outcome:
        """Say whether a rule matches, as far as it is known.

        A rule with a link that never holds stays if an earlier link has an effect of its own.
        """
        outcome = Outcome.CERTAIN
        known = self._known
        for at, link in enumerate(rule.links):
            here = holds(link, known)
            if here is Outcome.NEVER:
                effects = any(earlier.setvars or earlier.ctls for earlier in rule.links[:at])
                return Outcome.DOUBTFUL if effects and at else Outcome.NEVER
            if here is Outcome.DOUBTFUL:
                outcome = Outcome.DOUBTFUL
            if link.setvars and link is not rule.links[-1]:
                return Outcome.DOUBTFUL  # later links may look at what it sets: not worth following
        return outcome

    def _settle(self, rule: Rule) -> bool:
        """Let a rule that certainly matches have its effect before any request, if all of it can be."""
        if (
            rule.disruptive != "pass"
            or any(link.ctls for link in rule.links)
            or (rule.log and rule.links[0].msg)
        ):
            return False
        changes: dict[str, str | None] = {}
        for setvar in (setvar for link in rule.links for setvar in link.setvars):
            change = self._known.changed(setvar)
            if change is None or self._read.reads((change[0],)) or self._may_be_written(change[0]):
                return False
            changes[change[0]] = change[1]
            self._known.set(*change)
        for name, value in changes.items():
            if name in self._decided:
                self._known.set(name, self._decided[name])
            elif value is None:
                self._tx.pop(name, None)
            else:
                self._tx[name] = value
        return True

    def _may_be_written(self, name: str) -> bool:
        return self._known.value(name) is UNKNOWN or any(text_of(key) == name for key in self._written)

    def _keep(self, rule: Rule) -> Rule:
        for link in rule.links:
            self._removals += (ctl.value for ctl in link.ctls if ctl.name == "ruleRemoveById")
            for setvar in link.setvars:
                key = self._known.expand(setvar.key)
                self._written.append(key)
                self._known.forget(key)
        kept = replace(rule, links=tuple(self._folded(link) for link in rule.links))
        self._read.add(kept)
        return kept

    def _folded(self, link: Link) -> Link:
        """Put what is known into the macros of a link."""
        expand = self._known.expand
        operator = link.operator
        return replace(
            link,
            operator=None if operator is None else replace(operator, argument=expand(operator.argument)),
            setvars=tuple(
                Setvar(expand(setvar.key), setvar.change, expand(setvar.value)) for setvar in link.setvars
            ),
            msg=expand(link.msg),
            logdata=expand(link.logdata),
        )

    def _excluded(self, rule: Rule) -> Exclusion | None:
        return next(
            (one for one in self._exclusions if one.target() is None and one.means(rule.id, rule.tags)), None
        )

    def _narrowed(self, rule: Rule) -> Rule:
        """Take out of a rule's targets what the policy excludes for one parameter."""
        targets = [
            target
            for one in self._exclusions
            if one.means(rule.id, rule.tags) and (target := one.target()) is not None
        ]
        if not targets:
            return rule
        return replace(rule, links=tuple(_without(link, targets) for link in rule.links))

    def _drop(self, rule: Rule, why: Why, reason: str) -> None:
        self._dropped.append(Dropped(rule, why, reason))


def _is_idle(rule: Rule, read: Readers) -> bool:
    """Say whether a match of a rule has no effect at all; scores are read by the edge itself."""
    visible = rule.disruptive != "pass" or rule.skip_after is not None or rule.log
    return not visible and not any(
        link.ctls
        or any(_SCORE in "".join(map(str, setvar.key)) or read.reads(setvar.key) for setvar in link.setvars)
        for link in rule.links
    )


def _without(link: Link, targets: list[tuple[tuple[str, ...], str]]) -> Link:
    looked_at = {variable.name for variable in link.variables if not variable.excluded}
    added = tuple(
        Variable(name, member, excluded=True)
        for names, member in targets
        for name in names
        if name in looked_at
    )
    return replace(link, variables=link.variables + added) if added else link


def _collected(rule: Rule) -> tuple[Rule | None, str]:
    """Take out of a rule's targets what the edge does not collect yet; None where nothing is left to ask."""
    links: list[Link] = []
    for link in rule.links:
        kept = tuple(variable for variable in link.variables if variable.name not in LATER)
        if link.operator is not None and not any(not variable.excluded for variable in kept):
            names = sorted({variable.name for variable in link.variables if not variable.excluded})
            return None, f"it asks about {', '.join(names)}, which is not collected yet"
        links.append(replace(link, variables=kept))
    return replace(rule, links=tuple(links)), ""


def _landing(rule: Rule, entries: list[Rule | Marker]) -> str:
    """Return the name where reading goes on after a skip; nothing where no such place follows."""
    names = {entry.name if isinstance(entry, Marker) else str(entry.id) for entry in entries}
    return rule.skip_after if rule.skip_after in names and rule.skip_after else ""


def _in_ranges(each: int, text: str) -> bool:
    for part in text.replace(",", " ").split():
        low, dash, high = part.partition("-")
        if low.isdigit() and int(low) <= each <= (int(high) if dash and high.isdigit() else int(low)):
            return True
    return False


def _setup_version(rules: RuleSet) -> str:
    """Return what crs-setup.conf of this Core Rule Set says of itself: its version without dots."""
    digits = "".join(letter for text in rules.signatures[:1] for letter in text if letter.isdigit())
    return digits or "1"
