"""What is known of the variables of TX while rules are walked through before any request."""

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final

from bartizan.rules.model import Link, Macro, Parts, Rule, Setvar, Variable

STATE: Final = frozenset({
    "TX", "MATCHED_VAR", "MATCHED_VAR_NAME", "MATCHED_VARS", "MATCHED_VARS_NAMES", "RULE", "HIGHEST_SEVERITY",
})  # fmt: skip
"""Variables that come of rules and not of the request."""

_CAPTURE: Final = re.compile(r"[0-9]")
_NUMBER: Final = re.compile(r"\s*([+-]?[0-9]+)")


class Unknown(Enum):
    """What is not known before there is a request."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


def number(text: str) -> int:
    """Return what a text counts for, as ModSecurity reads it: the number that it begins with, or 0."""
    match = _NUMBER.match(text)
    return int(match[1]) if match else 0


def joined(parts: Iterable[str | Macro]) -> Parts:
    """Return parts in which no two texts follow each other."""
    found: list[str | Macro] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        elif part != "":
            found.append(part)
    return tuple(found)


def text_of(parts: Parts) -> str | None:
    """Return the text of parts without macros; None where there is a macro."""
    if not parts:
        return ""
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else None


def _prefix(key: Parts) -> str:
    return key[0].lower() if isinstance(key[0], str) else ""


def names_meant(key: Parts) -> re.Pattern[str]:
    """Return what the names look like that a setvar's key may become."""
    return re.compile("".join(re.escape(part) if isinstance(part, str) else ".*" for part in key), re.DOTALL)


class Constants:
    """The variables of TX at one place of the rules: each is a text, is absent (None), or is not known."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = dict(values)
        self._unknown: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []
        self._prefixes: list[str] = []  # what the names begin with that the patterns mean

    def value(self, name: str) -> str | Unknown | None:
        """Return what is known of a variable."""
        name = name.lower()
        if name in self._unknown or _CAPTURE.fullmatch(name) or self._meant(name):
            return UNKNOWN
        return self._values.get(name)

    def selected(self, variable: Variable) -> dict[str, str] | None:
        """Return the members of TX that a target selects; None where that is not known."""
        if variable.selector is None or variable.regex:
            return None
        value = self.value(variable.selector)
        if isinstance(value, Unknown):
            return None
        return {} if value is None else {variable.selector.lower(): value}

    def none_selected(self, variable: Variable) -> bool:
        """Say whether a regular expression surely selects no member of TX."""
        try:
            pattern = re.compile(variable.selector or "", re.IGNORECASE | re.DOTALL)
        except re.error:
            return False
        if any(pattern.search(name) for name in (*self._unknown, *self._values)):
            return False
        return not any(may_select(pattern, prefix) for prefix in self._prefixes)

    def set(self, name: str, value: str | None) -> None:
        """Take in that a variable has a value from here on, or is absent."""
        self._unknown.discard(name)
        self._values.pop(name, None)
        if value is not None:
            self._values[name] = value

    def forget(self, key: Parts) -> None:
        """Take in that a variable may become anything."""
        name = text_of(key)
        if name is not None:
            self._unknown.add(name.lower())
        else:
            self._patterns.append(names_meant(key))
            self._prefixes.append(_prefix(key))

    def expand(self, parts: Parts) -> Parts:
        """Return parts with the macros put in whose value is known."""
        return joined(self._expanded(part) for part in parts)

    def _expanded(self, part: str | Macro) -> str | Macro:
        if isinstance(part, str) or part.name != "TX" or part.key is None:
            return part
        value = self.value(part.key)
        return part if isinstance(value, Unknown) else value or ""

    def changed(self, setvar: Setvar) -> tuple[str, str | None] | None:
        """Return the name that a setvar changes and the value that it gets; None where one is not known."""
        name, value = text_of(self.expand(setvar.key)), text_of(self.expand(setvar.value))
        if name is None or value is None:
            return None
        name = name.lower()
        before = self.value(name)
        if setvar.change == "=":
            return (name, value) if not self._meant(name) else None
        if isinstance(before, Unknown):
            return None
        if setvar.change == "!":
            return name, None
        sign = 1 if setvar.change == "+" else -1
        return name, str(number(before or "0") + sign * number(value))

    def _meant(self, name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in self._patterns)


class Readers:
    """Which variables of TX rules look at."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []
        self._everything = False

    def add(self, rule: Rule) -> None:
        """Take in what a rule looks at."""
        for link in rule.links:
            self.add_link(link)

    def add_link(self, link: Link) -> None:
        """Take in what a link looks at, in its targets and in its macros."""
        for variable in link.variables:
            if variable.name == "TX" and not variable.excluded:
                self._add_target(variable)
        for macro in macros(link):
            if macro.name == "TX" and macro.key is not None:
                self._names.add(macro.key.lower())
        for setvar in link.setvars:
            name = text_of(setvar.key)
            if setvar.change in {"+", "-"} and name is not None:
                self._names.add(name.lower())
            elif setvar.change in {"+", "-"}:
                self._patterns.append(re.compile(f"^{re.escape(_prefix(setvar.key))}", re.IGNORECASE))

    def _add_target(self, variable: Variable) -> None:
        if variable.selector is None:
            self._everything = True
        elif not variable.regex:
            self._names.add(variable.selector.lower())
        else:
            try:
                self._patterns.append(re.compile(variable.selector, re.IGNORECASE | re.DOTALL))
            except re.error:  # PCRE knows more than Python
                self._everything = True

    def reads(self, key: Parts) -> bool:
        """Say whether a variable may be looked at that a setvar's key may mean."""
        if self._everything:
            return True
        name = text_of(key)
        if name is not None:
            name = name.lower()
            return name in self._names or any(pattern.search(name) for pattern in self._patterns)
        meant, prefix = names_meant(key), _prefix(key)
        return any(may_select(pattern, prefix) for pattern in self._patterns) or any(
            meant.fullmatch(name) for name in self._names
        )


def may_select(selector: re.Pattern[str], prefix: str) -> bool:
    """Say whether a regular expression may select names that begin with a prefix.

    A name that a rule makes of what a request carries is taken for what it begins with: that a client names
    an argument like another rule's variable is not looked for.
    """
    if not prefix or selector.search(prefix):
        return True
    literal = re.match(r"\^?(\w+)(?![\w*?{])", selector.pattern) or re.match(
        r"\^?(\w+)(?=\w[*?{])", selector.pattern
    )
    return literal is None or literal[1].lower().startswith(prefix) or prefix.startswith(literal[1].lower())


def macros(link: Link) -> Iterator[Macro]:
    """Yield the macros of a link, wherever they stand."""
    sources: list[Parts] = [link.msg, link.logdata]
    if link.operator is not None:
        sources.append(link.operator.argument)
    for setvar in link.setvars:
        sources += [setvar.key, setvar.value]
    for parts in sources:
        for part in parts:
            if isinstance(part, Macro):
                yield part
