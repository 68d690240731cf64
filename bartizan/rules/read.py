"""From rule files to a rule set."""

import glob
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from bartizan.rules import chains
from bartizan.rules.actions import Actions, read_actions
from bartizan.rules.changes import Change, apply, change
from bartizan.rules.model import Link, Marker, Rule, RuleSet
from bartizan.rules.names import known, meant
from bartizan.rules.problems import Mistake, Place, Problem, Refusal, RulesError
from bartizan.rules.statements import Statement, parse, read_statements


def read_rules(paths: Iterable[Path], core: Collection[Path] = ()) -> RuleSet:
    """Read rule files, in order.

    Args:
        paths: the files, as `RuleTree.order` gives them, or any of one's own.
        core: which of them are the Core Rule Set's own. What Bartizan deliberately does not do (persistent
            collections, lists asked by DNS, geography) is set aside there; elsewhere it is a mistake.

    Raises:
        RulesError: with every mistake that was found, each with its file and line.
    """
    reader = _Reader()
    for path in paths:
        reader.file(path, core=path in core)
    return reader.finish()


# What these releases call themselves. They were written for ModSecurity 2, and are tested with it.
_FOR_APACHE: Final = "OWASP_CRS/3"


@dataclass(slots=True)
class _Reader:
    entries: list[Rule | Marker] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    set_aside: list[Problem] = field(default_factory=list)
    aside_rules: list[Rule] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    files: dict[Path, None] = field(default_factory=dict)
    defaults: dict[int, Actions] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    ids: dict[int, Place] = field(default_factory=dict)
    open: list[Path] = field(default_factory=list)
    chain: chains.Chain | None = None

    def file(self, path: Path, *, core: bool) -> None:
        self.files[path] = None
        self.open.append(path)
        try:
            for statement in read_statements(path):
                self.statement(statement, core=core)
        except RulesError as error:
            self.problems += error.problems
            self.chain = None
        self.close_chain()
        self.open.pop()

    def statement(self, statement: Statement, *, core: bool) -> None:
        try:
            name = known("directive", statement.name)
            if name in {"SecRule", "SecAction"}:
                self.link(statement, core=core)
                return
            self.close_chain()
            if name in {"Include", "IncludeOptional"}:
                self.include(statement, core=core, optional=name == "IncludeOptional")
            elif name == "SecDefaultAction":
                self.default(statement)
            elif name == "SecMarker":
                self.entries.append(Marker(_one_word(statement, "a name"), statement.place))
            elif name == "SecComponentSignature":
                self.signatures.append(_one_word(statement, "a text"))
            else:
                self.changes.append(change(name, statement))
        except Refusal as refusal:
            self.close_chain()
            (self.set_aside if core else self.problems).append(Problem(statement.place, str(refusal)))
        except Mistake as mistake:
            self.problems.append(Problem(statement.place, str(mistake)))

    def link(self, statement: Statement, *, core: bool) -> None:
        if self.chain is None:
            self.chain = chains.Chain(statement.place, core)
        self.chain.add(statement, self.defaults)
        if self.chain.whole:
            self.end_chain(self.chain)

    def close_chain(self) -> None:
        """Tell of a chain that ends before its last link."""
        if self.chain is not None:
            message = "the chain that begins here has no last rule: its last link says chain, too"
            self.problems.append(Problem(self.chain.place, message))
            self.chain = None

    def end_chain(self, chain: chains.Chain) -> None:
        self.chain = None
        rule_id = chain.head.id
        before = chain.place if rule_id is None else self.ids.setdefault(rule_id, chain.place)
        if before != chain.place:
            message = f"the id {rule_id} is the one of the rule at {before}, too"
            chain.problems.append(Problem(chain.place, message))
        if chain.problems:
            self.problems += chain.problems
            return
        rule = chain.rule(self.defaults.get(chain.phase, chains.DEFAULT))
        if chain.core and any(signature.startswith(_FOR_APACHE) for signature in self.signatures):
            rule = _as_apache_reads(rule)
        if chain.aside is not None:
            self.set_aside.append(Problem(chain.place, f"rule {rule_id}: {chain.aside}"))
            self.aside_rules.append(rule)
            return
        self.set_aside += (
            Problem(problem.place, f"an action of rule {rule_id}: {problem.message}")
            for problem in chain.left_out
        )
        self.entries.append(rule)

    def default(self, statement: Statement) -> None:
        actions, mistakes = read_actions(parse(f"SecAction {statement.text}")["actions"])
        mistakes += [
            Mistake(f"the action {name} can't be a default")
            for name in dict.fromkeys(actions.names)
            if name in {"id", "chain", "skipAfter", "setvar", "ctl", "msg", "logdata", "severity", "block"}
        ]
        if actions.phase is None and "phase" not in actions.names:
            mistakes.append(Mistake("SecDefaultAction needs a phase, such as phase:2"))
        if actions.disruptive is None:
            mistakes.append(
                Mistake("SecDefaultAction needs a disruptive action: pass, deny, drop or redirect")
            )
        if mistakes:
            self.problems += (Problem(statement.place, str(mistake)) for mistake in mistakes)
        else:
            self.defaults[actions.phase or chains.DEFAULT_PHASE] = actions

    def include(self, statement: Statement, *, core: bool, optional: bool) -> None:
        named = _one_word(statement, "a file")
        pattern = statement.place.path.parent / named
        found = sorted(Path(path) for path in glob.glob(str(pattern)))  # noqa: PTH207 (Path.glob takes no absolute one)
        if not found and not optional:
            raise Mistake(f"{statement.name} finds no file {pattern}")
        for path in found:
            if path in self.open:
                raise Mistake(f"{statement.name} {named} includes a file that is being read: {path}")
            self.file(path, core=core)

    def finish(self) -> RuleSet:
        """Apply what is changed of rules, and judge what only the whole tells."""
        entries, lost = apply(self.changes, self.entries, self.aside_rules)
        self.problems += (Problem(statement.place, str(mistake)) for statement, mistake in lost)
        self.problems += _unmarked(entries)
        if self.problems:
            raise RulesError(self.problems)
        for entry in entries:
            if isinstance(entry, Rule):
                for link in entry.links:
                    if link.operator is not None and link.operator.file is not None:
                        self.files[link.operator.file] = None
        return RuleSet(
            entries=tuple(entries),
            set_aside=tuple(dict.fromkeys(self.set_aside)),
            signatures=tuple(self.signatures),
            files=tuple(self.files),
        )


def _as_apache_reads(rule: Rule) -> Rule:
    """Halve the backslashes that are doubled for Apache, whose reader takes two between quotes for one."""
    return replace(rule, links=tuple(_with_single_backslashes(link) for link in rule.links))


def _with_single_backslashes(link: Link) -> Link:
    asked = link.operator
    if asked is None or asked.name not in {"rx", "rxGlobal"}:
        return link
    argument = tuple(part.replace("\\\\", "\\") if isinstance(part, str) else part for part in asked.argument)
    return replace(link, operator=replace(asked, argument=argument))


def _one_word(statement: Statement, what: str) -> str:
    words = statement.words()
    if len(words) != 1 or not words[0]:
        raise Mistake(f"{statement.name} needs {what}, and nothing else")
    return words[0]


def _unmarked(entries: Iterable[Rule | Marker]) -> Iterable[Problem]:
    """Find what skips to a place that does not follow: all that is left of the phase would be skipped."""
    entries = tuple(entries)
    last = {
        entry.name if isinstance(entry, Marker) else str(entry.id): position
        for position, entry in enumerate(entries)
    }
    for position, entry in enumerate(entries):
        if isinstance(entry, Rule) and entry.skip_after is not None:
            if entry.skip_after not in last:
                near = meant(entry.skip_after, last)
                yield Problem(entry.place, f"skipAfter:{entry.skip_after} finds no such SecMarker{near}")
            elif last[entry.skip_after] <= position:
                yield Problem(
                    entry.place, f"skipAfter:{entry.skip_after} goes back; the SecMarker must follow the rule"
                )
