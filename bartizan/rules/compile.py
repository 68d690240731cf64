"""From rule files to a folder that the edge loads, and back to the same folder while nothing has changed."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bartizan.errors import BartizanError
from bartizan.rules.cache import Cache, Entry
from bartizan.rules.gate import gates_of
from bartizan.rules.hyperscan import PREFILTER, HyperscanError, compile_database
from bartizan.rules.model import RuleSet
from bartizan.rules.plan import Database, Plan, make_plan
from bartizan.rules.problems import Problem, RulesError
from bartizan.rules.reachable import Reachable, reach
from bartizan.rules.read import read_rules
from bartizan.rules.settings import Exclusion, RuleSettings, RuleSource
from bartizan.rules.tree import find_tree

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Compiled:
    """Rules, and what became of them.

    Attributes:
        rules: as they were read.
        reached: what is left of them.
        plan: what the edge runs.
    """

    rules: RuleSet
    reached: Reachable
    plan: Plan


def compile_rules(
    source: RuleSource, settings: RuleSettings, cache: Path, progress: Progress | None = None
) -> Path:
    """Compile rules into a folder with plan.json and its databases.

    Args:
        source: where the rules lie.
        settings: how strict they are.
        cache: the folder of folders; one that was made of the same is found again.
        progress: is told how much is done, of how much, and what is being done.

    Returns:
        The folder.

    Raises:
        RulesError: the rules can't be used; what was compiled before is left as it is.
        BartizanError: there are no rules, or no Hyperscan.
    """
    kept = Cache(cache)
    tell = progress or _silent
    paths = _paths(source)
    with kept.locked():
        found = kept.find(paths, settings)
        if found is not None:
            kept.prune(found)
            return found
        tell(0, 1, "reading the rules")
        compiled = plan_rules(source, settings)
        with kept.new_entry() as entry:
            _write(compiled.plan, entry, tell)
            return kept.keep(entry, compiled.rules.files, paths, settings)


def plan_rules(source: RuleSource, settings: RuleSettings) -> Compiled:
    """Read rules and plan what the edge does with them, without its databases.

    Raises:
        RulesError: the rules can't be used.
    """
    tree = find_tree(source.folder)
    rules = read_rules(_paths(source), tree.core)
    _judge_exclusions(rules, settings.exclusions)
    reached = reach(rules, settings)
    gates = gates_of(reached.rules, reached.tx)
    return Compiled(rules, reached, make_plan(reached, gates, settings, tree.version))


def _paths(source: RuleSource) -> tuple[Path, ...]:
    return find_tree(source.folder).order(source.before, source.after, source.plugins)


def _judge_exclusions(rules: RuleSet, exclusions: tuple[Exclusion, ...]) -> None:
    for exclusion in exclusions:
        exclusion.target()
        aside = exclusion.rule in {aside_id(problem) for problem in rules.set_aside} - {None}
        if not aside and not any(exclusion.means(rule.id, rule.tags) for rule in rules.rules):
            raise BartizanError(f"the exclusion of {exclusion} means no rule; look at bartizan rules list")


def aside_id(problem: Problem) -> int | None:
    """Return the number of a rule that the reader set aside whole; None where it is only an action of one."""
    match = re.match(r"rule (\d+): ", problem.message)
    return int(match[1]) if match else None


def _write(plan: Plan, entry: Entry, tell: Progress) -> None:
    total = sum(len(database.expressions) for database in plan.databases)
    done = 0
    for database in plan.databases:
        tell(done, total, f"compiling what is asked of {database.name}")
        entry.write(f"{database.name}.hs", _compiled(plan, database))
        done += len(database.expressions)
        tell(done, total, f"compiled what is asked of {database.name}")
    # Last, so that a folder with it is whole.
    entry.write("plan.json", json.dumps(plan.document, ensure_ascii=False, separators=(",", ":")).encode())


def _compiled(plan: Plan, database: Database) -> bytes:
    while True:
        try:
            return compile_database(database.expressions)
        except HyperscanError as error:
            if error.index is None:
                raise
            refused = database.expressions[error.index]
            if refused.flags & PREFILTER:
                rule = plan.rules[plan.patterns[refused.number - 1][0]]
                message = f"rule {rule.id} has a pattern that Hyperscan does not take: {error.why}"
                raise RulesError([Problem(rule.place, message)]) from error
            # It was too large after all, which shows only here.
            database.expressions[error.index] = replace(refused, flags=refused.flags | PREFILTER)


def _silent(_done: int, _total: int, _what: str) -> None:
    """Tell nobody."""
