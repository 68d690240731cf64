"""Text with macros in it, such as `Found within %{MATCHED_VAR_NAME}`."""

import re
from typing import Final

from bartizan.rules.model import Macro, Parts
from bartizan.rules.names import COLLECTIONS, known
from bartizan.rules.problems import Mistake

# A quantifier (`%{2}`) is no macro, and no name begins with a digit.
_OPENS: Final = re.compile(r"%\{(?=[A-Za-z_])")
_MACRO: Final = re.compile(r"([A-Za-z_0-9]+)(?:[.:]([^{}]+))?\}")
LOWERED: Final = frozenset({"TX", "RULE"})  # their members are written in any case and mean the same


def parts(text: str) -> Parts:
    """Take a text apart into what is fixed and what is put in when the rule runs.

    Raises:
        Mistake: a macro is not closed or names nothing that is known.
    """
    found: list[str | Macro] = []
    at = 0
    for opens in _OPENS.finditer(text):
        if opens.start() < at:
            continue
        if opens.start() > at:
            found.append(text[at : opens.start()])
        match = _MACRO.match(text, opens.end())
        if match is None:
            raise Mistake(
                f"the macro {text[opens.start() :][:30]!r} is not closed; write %{{NAME}} or %{{NAME.member}}"
            )
        found.append(_macro(match[1], match[2]))
        at = match.end()
    if at < len(text):
        found.append(text[at:])
    return tuple(found)


def lowered(text: str) -> Parts:
    """Take the name of a member of TX apart; what is fixed in it is lower-cased, as TX is in any case."""
    return tuple(part.lower() if isinstance(part, str) else part for part in parts(text))


def shown(text: Parts) -> str:
    """Return the text as SecLang writes it."""
    return "".join(
        part if isinstance(part, str) else f"%{{{part.name}{'' if part.key is None else '.' + part.key}}}"
        for part in text
    )


def _macro(name: str, key: str | None) -> Macro:
    name = known("variable", name)
    if key is None:
        if name in COLLECTIONS.values():
            raise Mistake(
                f"the macro %{{{name}}} names a whole collection; say which member: %{{{name}.member}}"
            )
        return Macro(name)
    if name not in COLLECTIONS.values():
        raise Mistake(
            f"the macro %{{{name}.{key}}} asks for a member, but {name} has none; write %{{{name}}}"
        )
    return Macro(name, key.lower() if name in LOWERED else key)
