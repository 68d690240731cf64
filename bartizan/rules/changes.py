"""What is changed of rules that are written elsewhere: SecRuleRemove* and SecRuleUpdateTarget*."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bartizan.rules.macros import shown
from bartizan.rules.model import Marker, Rule, Variable
from bartizan.rules.names import meant
from bartizan.rules.problems import Mistake
from bartizan.rules.statements import Statement
from bartizan.rules.targets import target_list

_IDS: Final = re.compile(r"(\d{1,12})(?:-(\d{1,12}))?")
Means = Callable[[Rule], bool]


@dataclass(frozen=True, slots=True)
class Change:
    """One such directive.

    Attributes:
        means: whether a rule is meant, one question for each argument.
        texts: the arguments, as they are written.
        variables: what is added to the targets; None where the rule is removed.
    """

    statement: Statement
    means: tuple[Means, ...]
    texts: tuple[str, ...]
    variables: tuple[Variable, ...] | None = None


def change(name: str, statement: Statement) -> Change:
    """Read a SecRuleRemove* or SecRuleUpdateTarget*.

    Args:
        name: the directive in the manual's spelling.
        statement: the directive itself.

    Raises:
        Mistake: its arguments say nothing.
    """
    words = statement.words()
    by = name[-2:] if name.endswith("Id") else name[-3:]
    if name.startswith("SecRuleRemove"):
        if not words or (by != "Id" and len(words) != 1):
            raise Mistake(f"{name} needs {_ASKS[by]}")
        texts = (
            tuple(word for text in words for word in text.replace(",", " ").split()) if by == "Id" else words
        )
        return Change(statement, tuple(_MEANS[by](text) for text in texts), texts)
    if len(words) == 3:
        raise Mistake(
            f"{name} takes no third argument; exclude a target with ! and add the other: ARGS,!ARGS_NAMES"
        )
    if len(words) != 2:
        raise Mistake(f'{name} needs {_ASKS[by]} and targets: {name} {_SHOWN[by]} "!ARGS:comment"')
    return Change(statement, (_MEANS[by](words[0]),), words[:1], target_list(words[1]))


def apply(
    changes: Iterable[Change], entries: Sequence[Rule | Marker], known: Sequence[Rule]
) -> tuple[list[Rule | Marker], list[tuple[Statement, Mistake]]]:
    """Return what remains of a list of rules, and which changes mean none of them.

    A change counts for all rules, whether they stand before or after it, as in ModSecurity 3.

    Args:
        changes: in order.
        entries: rules and markers.
        known: further rules that may be meant, though they are set aside.
    """
    rules = [entry for entry in entries if isinstance(entry, Rule)]
    left: dict[int, Rule | None] = {rule.id: rule for rule in rules}
    lost: list[tuple[Statement, Mistake]] = []
    for one in changes:
        for means, text in zip(one.means, one.texts, strict=True):
            hit = [rule for rule in rules if means(rule)]
            if not hit and not any(means(rule) for rule in known):
                lost.append((one.statement, Mistake(f"no rule is meant by {text}{_near(text, rules)}")))
            if one.variables is not None and hit and all(rule.links[0].operator is None for rule in hit):
                message = f"rule {hit[0].id} is a SecAction, which has no targets"
                lost.append((one.statement, Mistake(message)))
            for rule in hit:
                now = left[rule.id]
                if now is None or one.variables is None:
                    left[rule.id] = None
                elif now.links[0].operator is not None:
                    first = replace(now.links[0], variables=(*now.links[0].variables, *one.variables))
                    left[rule.id] = replace(now, links=(first, *now.links[1:]))
    kept = (left[entry.id] if isinstance(entry, Rule) else entry for entry in entries)
    return [entry for entry in kept if entry is not None], lost


def _near(text: str, rules: Sequence[Rule]) -> str:
    names = (
        {str(rule.id) for rule in rules} if text.isdecimal() else {tag for rule in rules for tag in rule.tags}
    )
    return meant(text, sorted(names))


def by_id(text: str) -> Means:
    """Return whether a rule has an id or is in a range of ids: `942100`, `942100-942199`.

    Raises:
        Mistake: it is neither.
    """
    match = _IDS.fullmatch(text)
    if match is None or int(match[1]) > int(match[2] or match[1]):
        raise Mistake(f"{text!r} is no rule id and no range of ids, such as 942100 or 942100-942199")
    first, last = int(match[1]), int(match[2] or match[1])
    return lambda rule: first <= rule.id <= last


def by_tag(text: str) -> Means:
    """Return whether a rule has a tag in which a regular expression is found.

    Raises:
        Mistake: it is no regular expression.
    """
    pattern = _pattern(text)
    return lambda rule: any(pattern.search(tag) for tag in rule.tags)


def by_msg(text: str) -> Means:
    """Return whether a regular expression is found in a rule's message, as it is written.

    Raises:
        Mistake: it is no regular expression.
    """
    pattern = _pattern(text)
    return lambda rule: any(pattern.search(shown(link.msg)) for link in rule.links)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise Mistake(f"{text!r} is no regular expression: {error.msg}") from None


_MEANS: Final[dict[str, Callable[[str], Means]]] = {"Id": by_id, "Tag": by_tag, "Msg": by_msg}
_ASKS: Final = {"Id": "the ids of rules", "Tag": "one tag", "Msg": "one message"}
_SHOWN: Final = {"Id": "942100", "Tag": "attack-sqli", "Msg": '"SQL Injection"'}
