"""What a rule looks at: the first argument of SecRule, and what SecRuleUpdateTarget* and ctl say of it."""

import re
from typing import Any, Final

from bartizan.rules.macros import LOWERED
from bartizan.rules.model import Variable
from bartizan.rules.names import COLLECTIONS, known
from bartizan.rules.pcre2 import wrong_with
from bartizan.rules.problems import Mistake
from bartizan.rules.statements import parse

_TARGET: Final = re.compile(r"([!&]?)([A-Za-z0-9_-]+)(?::(.+))?", re.DOTALL)


def target(name: str, selector: str, *, excluded: bool = False, count: bool = False) -> Variable:
    """Return one entry of a list of targets.

    Args:
        name: the variable, in any case.
        selector: what follows the colon, with its quotes or slashes; empty where nothing does.
        excluded: `!` stood before it.
        count: `&` stood before it.

    Raises:
        Refusal: the variable is deliberately not known.
        Mistake: there is no such variable, or the selector is of no use to it.
    """
    name = known("variable", name)
    if not selector:
        return Variable(name, excluded=excluded, count=count)
    if name not in COLLECTIONS.values():
        raise Mistake(f"{name} has no members, so {name}:{selector} selects nothing; write {name}")
    if selector[0] == "'":
        if len(selector) < 3 or selector[-1] != "'":
            raise Mistake(f"the quote in {name}:{selector} is not closed")
        selector = selector[1:-1]
    # XML's selectors are XPath, which begins with a slash too.
    if name != "XML" and selector[0] == "/":
        if len(selector) < 3 or selector[-1] != "/":
            raise Mistake(f"the regular expression in {name}:{selector} is not closed; write {name}:/.../")
        if (why := wrong_with(selector[1:-1])) is not None:
            raise Mistake(f"{name}:{selector} has a pattern that PCRE2 can't take: {why}")
        return Variable(name, selector[1:-1], regex=True, excluded=excluded, count=count)
    if name in LOWERED:
        selector = selector.lower()
    return Variable(name, selector, excluded=excluded, count=count)


def targets(read: list[dict[str, Any]]) -> tuple[Variable, ...]:
    """Return a list of targets as the parser read it.

    Raises:
        Refusal: it names what is deliberately not known.
        Mistake: one of them is no target, or all are exclusions.
    """
    return tuple(
        target(one["variable"], one["variable_part"], excluded=one["negated"], count=one["counter"])
        for one in read
    )


def target_list(text: str) -> tuple[Variable, ...]:
    """Read a list of targets that stands alone.

    Raises:
        Refusal: it names what is deliberately not known.
        Mistake: it is not well formed.
    """
    return targets(parse(f'SecRule {text} "@unconditionalMatch"')["variables"])


def one_target(text: str) -> Variable:
    """Read the one target of a ctl action.

    Raises:
        Refusal: it names what is deliberately not known.
        Mistake: it is not well formed.
    """
    match = _TARGET.fullmatch(text)
    if match is None or match[1]:
        raise Mistake(f"{text!r} is no target; write it as in ARGS:comment, without ! or &")
    return target(match[2], match[3] or "")
