r"""What stands for an operator in a Hyperscan database: a superset of what it matches, never less.

`@rx` is compiled as ModSecurity 3 does it (src/utils/regex.cc: PCRE2_DOTALL | PCRE2_MULTILINE, bytes and
not UTF-8), so the confirming PCRE2 must be given the same two. Hyperscan's classes (`\\s` with the vertical
tab, `\\h`, `\\v`, POSIX ones) were compared with PCRE2's byte by byte and are equal.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from bartizan.rules import hyperscan
from bartizan.rules import regex as regexes
from bartizan.rules import regex_parts as parts
from bartizan.rules.constants import text_of
from bartizan.rules.model import Operator

RX: Final = hyperscan.DOTALL | hyperscan.MULTILINE | hyperscan.SINGLEMATCH | hyperscan.ALLOWEMPTY
PLAIN: Final = frozenset(
    {*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B), *range(0x80, 0x100), *b" _.,@:+!?-"}
)
"""Bytes of which most harmless values consist, and few attacks: what can match there is a small database."""
LITERAL: Final = hyperscan.SINGLEMATCH | hyperscan.ALLOWEMPTY
# Hyperscan's automata have at most 512 states where it can't break a pattern down.
_LARGEST: Final = 500  # atoms
_LONG: Final = 3_000  # bytes: what is shorter is small enough, whatever it is
_FEW_PIECES: Final = 4
_MOST_PIECES: Final = 64
_LARGE: Final = 100  # atoms of a group before which a pattern may be cut
_LIGHT: Final = 12  # atoms of an alternative that is not worth cutting after


class Taken(Enum):
    """How a database stands for an operator."""

    WHOLE = "whole"
    PIECES = "pieces"
    CUT = "cut"
    WEAKENED = "weakened"
    PREFILTER = "prefilter"
    CONDITION = "condition"


@dataclass(frozen=True, slots=True)
class Patterns:
    """Expressions of which at least one matches whatever the operator matches.

    Attributes:
        expressions: pattern and flags of each.
        taken: whether they match nothing else (whole; pieces: several that together do), or more: only what
            comes first (cut), without what Hyperscan doesn't have (weakened), as it weakened them itself
            (prefilter), or what must be in the value (condition).
    """

    expressions: tuple[tuple[bytes, int], ...]
    taken: Taken


def patterns_of(operator: Operator) -> Patterns | None:
    """Return what stands for an operator; None where nothing can, so that it must be asked itself."""
    if operator.negated:
        return None
    if operator.name in {"pm", "pmFromFile"}:
        return literals(operator.entries)
    argument = text_of(operator.argument)
    make = _MAKERS.get(operator.name)
    return make(argument) if make and argument is not None else None


def regex(text: str) -> Patterns | None:
    """Return what stands for a regular expression of PCRE.

    In this order: itself, itself in pieces, what is left of it without look-arounds and the like, and what
    Hyperscan makes of it as a prefilter.
    """
    if (pattern := taken(text, RX)) is not None:
        return Patterns(((pattern, RX),), Taken.WHOLE)
    try:
        parsed = regexes.parse(text)
    except regexes.NotUnderstoodError:
        return _prefilter(text)
    weakened = parts.weakened(parsed)
    ways = (
        (parsed, Taken.PIECES, _FEW_PIECES),
        (parts.cut(parsed, _LARGE, _LIGHT), Taken.CUT, _MOST_PIECES),
        (parsed, Taken.PIECES, _MOST_PIECES),
        (parts.cut(weakened, _LARGE, _LIGHT), Taken.CUT, _MOST_PIECES),
        (weakened, Taken.WEAKENED, _MOST_PIECES),
    )
    for way, kind, most in ways:
        if way is not None and (pieces := _pieces(way, most)) is not None:
            return Patterns(tuple((piece, RX) for piece in pieces), kind)
    return _prefilter(text)


def _prefilter(text: str) -> Patterns | None:
    flags = RX | hyperscan.PREFILTER
    pattern = taken(text, flags)
    return None if pattern is None else Patterns(((pattern, flags),), Taken.PREFILTER)


def taken(text: str, flags: int) -> bytes | None:
    """Return a regular expression as Hyperscan takes it, or None."""
    pattern = text.encode().replace(b"\0", b"\\x00")
    return pattern if _complaint(pattern, flags, large=len(pattern) > _LONG) is None else None


def _pieces(parsed: regexes.Regex, most: int) -> list[bytes] | None:
    """Return a regular expression in as few pieces as Hyperscan takes; None where one can't be parted."""
    found: list[bytes] = []
    waiting = [parsed]
    while waiting:
        piece = waiting.pop()
        if parts.positions(piece.branches) <= _LARGEST and (pattern := taken(str(piece), RX)) is not None:
            found.append(pattern)
            continue
        parted = parts.halves(piece)
        if parted is None or len(found) + len(waiting) + 2 > most:
            return None
        waiting += reversed(parted)
    return found


def literals(phrases: Iterable[str]) -> Patterns:
    """Return what stands for phrases anywhere in a value, in whatever case."""
    found = dict.fromkeys(map(_escaped, phrases))
    return Patterns(tuple((pattern, LITERAL | hyperscan.CASELESS) for pattern in found), Taken.WHOLE)


@lru_cache(maxsize=4096)
def _complaint(pattern: bytes, flags: int, *, large: bool) -> str | None:
    return hyperscan.complaint(pattern, flags, whole=large)


@lru_cache(maxsize=65536)
def plain(pattern: bytes) -> bytes | None:
    """Return what of a pattern can match in values of plain bytes only; None: nothing can."""
    try:
        parsed = regexes.parse(pattern.decode())
    except (regexes.NotUnderstoodError, UnicodeDecodeError):
        return pattern
    restricted = parts.restricted(parsed, PLAIN)
    return None if restricted is None else str(restricted).encode()


def _escaped(text: str) -> bytes:
    return b"".join(
        bytes([byte]) if chr(byte).isalnum() and byte < 0x80 else b"\\x%02x" % byte for byte in text.encode()
    )


def _outside(ranges: str) -> Patterns | None:
    """Return a class of the bytes that validateByteRange does not allow."""
    allowed: set[int] = set()
    for part in ranges.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if match is None:
            return None
        allowed |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    refused = [byte for byte in range(256) if byte not in allowed]
    if not refused:
        return Patterns((), Taken.WHOLE)
    return Patterns(((b"[" + b"".join(b"\\x%02x" % byte for byte in refused) + b"]", RX),), Taken.WHOLE)


def _literal(before: bytes, after: bytes, taken_as: Taken = Taken.WHOLE) -> Callable[[str], Patterns]:
    return lambda text: Patterns(((before + _escaped(text) + after, LITERAL),), taken_as)


def _fixed(pattern: bytes, taken_as: Taken) -> Callable[[str], Patterns]:
    return lambda _text: Patterns(((pattern, RX),), taken_as)


_MAKERS: Final[dict[str, Callable[[str], Patterns | None]]] = {
    **dict.fromkeys(("rx", "rxGlobal"), regex),
    # Their pattern finds what they then check.
    **dict.fromkeys(("verifyCC", "verifyCPF", "verifySSN", "verifySVNR"), regex),
    "beginsWith": _literal(b"\\A", b""),
    "contains": _literal(b"", b""),
    "containsWord": _literal(b"", b"", Taken.CONDITION),
    "endsWith": _literal(b"", b"\\z"),
    "streq": _literal(b"\\A", b"\\z"),
    "strmatch": _literal(b"", b""),
    "validateByteRange": _outside,
    "validateUrlEncoding": _fixed(b"%(?:[^0-9a-fA-F]|[0-9a-fA-F][^0-9a-fA-F]|[0-9a-fA-F]?\\z)", Taken.WHOLE),
    "validateUtf8Encoding": _fixed(b"[\\x80-\\xff]", Taken.CONDITION),
}
