"""The structure of a regular expression: enough to take it apart without changing what it matches.

Hyperscan refuses some of the Core Rule Set's long alternations as a whole and takes them in pieces, and it
has no possessive quantifiers or look-arounds. What is read here is only where groups, alternatives and
quantifiers are; what an atom means is left to Hyperscan and PCRE.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

_QUANTIFIER: Final = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})[?+]?")
_ESCAPE: Final = re.compile(
    r"\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{0,2}|[0-7]{1,3}|c.|[^\w\s]|[A-Za-z]|[\s_89])", re.DOTALL
)
_CLASS: Final = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]", re.DOTALL)
_REFUSED_ESCAPES: Final = frozenset("QEgkKGXNpPoRC")
_GROUP: Final = re.compile(r"\((?:\?(?:[:>]|[ims]+:|<?[=!]|P?<\w+>|'\w+'))?")
_FLAGS: Final = re.compile(r"\(\?([ims]+)\)")
_LOOKS: Final = frozenset({"(?=", "(?!", "(?<=", "(?<!"})


class NotUnderstoodError(ValueError):
    """A regular expression with something that is not taken apart here."""


@dataclass(frozen=True, slots=True)
class Item:
    """One atom or group, with its quantifier.

    Attributes:
        text: of an atom all of it; of a group how it begins, such as `(?:`.
        branches: None for an atom.
    """

    text: str
    quantifier: str = ""
    branches: "tuple[tuple[Item, ...], ...] | None" = None
    capture: int = 0

    def __str__(self) -> str:
        if self.branches is None:
            return self.text + self.quantifier
        return f"{self.text}{written(self.branches)}){self.quantifier}"

    @property
    def looks(self) -> bool:
        """Whether it is a look-around."""
        return self.text in _LOOKS


Sequence = tuple[Item, ...]
Branches = tuple[Sequence, ...]


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression.

    Attributes:
        flags: the inline flags that it begins with, such as `i`.
    """

    flags: str
    branches: Branches

    def __str__(self) -> str:
        return (f"(?{self.flags})" if self.flags else "") + written(self.branches)


def written(branches: Branches) -> str:
    """Return alternatives as they are written."""
    return "|".join("".join(map(str, sequence)) for sequence in branches)


def parse(text: str) -> Regex:
    """Take a regular expression apart.

    Raises:
        NotUnderstoodError: there is something in it that is not known here.
    """
    flags = ""
    while match := _FLAGS.match(text):
        flags, text = flags + match[1], text[match.end() :]
    # "^(?i)up": the flags hold from there on, and nothing before has letters.
    if (match := re.match(r"(\^|\\A|\\b)\(\?i\)", text)) and "|" not in match[1]:
        flags, text = flags + "i", match[1] + text[match.end() :]
    reader = _Reader(text)
    branches = reader.branches()
    if reader.at != len(text):
        raise NotUnderstoodError("a parenthesis too many")
    return Regex("".join(dict.fromkeys(flags)), branches)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.captures = 0

    def branches(self) -> Branches:
        found: list[Sequence] = []
        items: list[Item] = []
        while self.at < len(self.text) and self.text[self.at] != ")":
            if self.text[self.at] == "|":
                self.at += 1
                found.append(tuple(items))
                items = []
            else:
                items.append(self.item())
        return (*found, tuple(items))

    def item(self) -> Item:
        item = self.group() if self.text[self.at] == "(" else Item(self.atom())
        match = _QUANTIFIER.match(self.text, self.at)
        if match:
            self.at = match.end()
            item = replace(item, quantifier=match[0])
        return item

    def group(self) -> Item:
        match = _GROUP.match(self.text, self.at)
        if match is None or (self.text.startswith("(?", self.at) and match[0] == "("):
            raise NotUnderstoodError(f"a group that begins with {self.text[self.at : self.at + 4]}")
        capture = 0
        if match[0] == "(" or (match[0].endswith((">", "'")) and match[0] != "(?>"):
            self.captures += 1
            capture = self.captures
        self.at = match.end()
        branches = self.branches()
        if self.at == len(self.text):
            raise NotUnderstoodError("a group is not closed")
        self.at += 1
        return Item(match[0], branches=branches, capture=capture)

    def atom(self) -> str:
        here = self.text[self.at]
        if here == "[":
            match = _CLASS.match(self.text, self.at)
        elif here == "\\":
            match = _ESCAPE.match(self.text, self.at)
            if match and (match[0][1] in _REFUSED_ESCAPES or match[0][1] in "123456789"):
                raise NotUnderstoodError(f"{match[0]} in a pattern")
        else:
            match = re.compile(".", re.DOTALL).match(self.text, self.at)
        if match is None:
            raise NotUnderstoodError(f"not understood: {self.text[self.at : self.at + 10]}")
        self.at = match.end()
        return match[0]
