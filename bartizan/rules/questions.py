"""What rules ask, answered from what is known before any request: yes, no, or not before there is one."""

import re
from collections.abc import Callable
from enum import Enum
from typing import Final

from bartizan.rules.constants import Constants, number, text_of
from bartizan.rules.model import Link, Operator, Variable


class Outcome(Enum):
    """What is known of a question before there is a request."""

    CERTAIN = "certain"
    NEVER = "never"
    DOUBTFUL = "doubtful"


def holds(link: Link, known: Constants) -> Outcome:
    """Say whether a link holds, from what is known of TX alone."""
    if link.operator is None:
        return Outcome.CERTAIN
    outcomes = {_target_holds(link, variable, known) for variable in link.variables if not variable.excluded}
    if any(variable.excluded and variable.name == "TX" for variable in link.variables):
        outcomes = {Outcome.NEVER if outcome is Outcome.NEVER else Outcome.DOUBTFUL for outcome in outcomes}
    if Outcome.CERTAIN in outcomes:
        return Outcome.CERTAIN
    return Outcome.DOUBTFUL if Outcome.DOUBTFUL in outcomes else Outcome.NEVER


def _target_holds(link: Link, variable: Variable, known: Constants) -> Outcome:
    if variable.name != "TX":
        return Outcome.DOUBTFUL
    members = known.selected(variable)
    if members is None:
        return Outcome.DOUBTFUL
    values = [str(len(members))] if variable.count else list(members.values())
    if not values:
        return Outcome.NEVER
    if link.operator is None:
        return Outcome.CERTAIN
    argument = text_of(known.expand(link.operator.argument))
    value = _transformed(values[0], link)
    answer = None if argument is None or value is None else answers(link.operator, value, argument)
    if answer is None:
        return Outcome.DOUBTFUL
    return Outcome.CERTAIN if answer else Outcome.NEVER


_TRANSFORMED: Final[dict[str, Callable[[str], str]]] = {
    "length": lambda text: str(len(text.encode())),
    "lowercase": lambda text: text.encode().lower().decode(),
    "uppercase": lambda text: text.encode().upper().decode(),
}
_DECODES: Final = frozenset({
    "compressWhitespace", "cssDecode", "escapeSeqDecode", "htmlEntityDecode", "jsDecode", "removeNulls",
    "removeWhitespace", "replaceNulls", "trim", "urlDecode", "urlDecodeUni", "utf8toUnicode",
})  # fmt: skip
"""What leaves letters, digits and _ as they are."""
_ASKED: Final[dict[str, Callable[[str, str], bool]]] = {
    "beginsWith": str.startswith,
    "contains": lambda value, argument: argument in value,
    "endsWith": str.endswith,
    "eq": lambda value, argument: number(value) == number(argument),
    "ge": lambda value, argument: number(value) >= number(argument),
    "gt": lambda value, argument: number(value) > number(argument),
    "le": lambda value, argument: number(value) <= number(argument),
    "lt": lambda value, argument: number(value) < number(argument),
    "noMatch": lambda _value, _argument: False,
    "streq": lambda value, argument: value == argument,
    "unconditionalMatch": lambda _value, _argument: True,
    "within": lambda value, argument: value in argument,
}


def _transformed(text: str, link: Link) -> str | None:
    if link.multi_match:
        return None
    for name in link.transformations:
        if name in _TRANSFORMED:
            text = _TRANSFORMED[name](text)
        elif name not in _DECODES or not re.fullmatch(r"\w*", text, re.ASCII):
            return None
    return text


def answers(operator: Operator, value: str, argument: str) -> bool | None:
    """Return whether an operator says yes to a value; None where only the edge can tell."""
    ask = _ASKED.get(operator.name)
    return ask(value, argument) is not operator.negated if ask else None
