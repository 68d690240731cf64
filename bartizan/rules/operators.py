"""What a rule asks of a value: the second argument of SecRule."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bartizan.rules.macros import parts
from bartizan.rules.model import Operator, Parts
from bartizan.rules.names import known
from bartizan.rules.pcre2 import wrong_with
from bartizan.rules.problems import Mistake

_NUMBERS: Final = frozenset({"eq", "ge", "gt", "le", "lt"})
_FILES: Final = frozenset({"pmFromFile", "ipMatchFromFile"})
_NOTHING: Final = frozenset(
    {
        "detectSQLi",
        "detectXSS",
        "noMatch",
        "unconditionalMatch",
        "validateUrlEncoding",
        "validateUtf8Encoding",
    }
)
_PATTERNS: Final = frozenset({"rx", "rxGlobal", "verifyCC", "verifyCPF", "verifySSN", "verifySVNR"})
_RANGE: Final = re.compile(r"(\d+)(?:-(\d+))?")
_IS_NUMBER: Final = re.compile(r"[+-]?\d+")


def operator(name: str, argument: str, folder: Path, *, negated: bool = False) -> Operator:
    """Return what is asked.

    Args:
        name: with its @; empty where the rule names none, which means @rx.
        argument: as it is written between the quotes.
        folder: where files are looked for, the folder of the rule's own file.
        negated: `!` stood before it.

    Raises:
        Refusal: the operator is deliberately not known.
        Mistake: there is no such operator, or it can't take this argument.
        OSError: the file that it names can't be read.
    """
    if not name:
        negated, argument = argument.startswith("!"), argument.removeprefix("!")
    name = known("operator", name.removeprefix("@") or "rx")
    if name in _NOTHING:
        if argument.strip():
            raise Mistake(f"@{name} takes no argument, but has {argument!r}")
        return Operator(name, (), negated)
    if not argument.strip():
        raise Mistake(f"@{name} needs an argument")
    if name in _FILES:
        return _from_file(name, argument, folder, negated=negated)
    # A regular expression gives a backslash before a quote its own, and equal, meaning.
    return _with(name, argument if name in _PATTERNS else argument.replace('\\"', '"'), negated=negated)


def _with(name: str, text: str, *, negated: bool) -> Operator:
    if name in _NUMBERS or name == "ipMatch":
        text = text.strip()
    read = parts(text)
    fixed = all(isinstance(part, str) for part in read)
    if fixed and name in _NUMBERS and not _IS_NUMBER.fullmatch(text):
        raise Mistake(f"@{name} compares with a whole number, not with {text!r}")
    if name == "validateByteRange":
        _judge_range(text)
    if fixed and name in _PATTERNS and (why := wrong_with(text)) is not None:
        raise Mistake(f"@{name} has a pattern that PCRE2 can't take: {why}")
    if name in _ENTRIES:
        if not fixed:
            raise Mistake(f"@{name} takes no macros; use @within or @rx")
        return Operator(name, read, negated, entries=_ENTRIES[name](text))
    return Operator(name, read, negated)


def _judge_range(text: str) -> None:
    for one in text.split(","):
        match = _RANGE.fullmatch(one.strip())
        if match is None or not int(match[1]) <= int(match[2] or match[1]) <= 255:
            raise Mistake(
                f"@validateByteRange can't take {one.strip()!r}; write bytes from 0 to 255: 9,32-126"
            )


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.split()))


def _networks(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_network(one.strip()) for one in text.split(",")))


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise Mistake(
            f"{text!r} is no address or network; write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
        ) from None


def _lines(text: str) -> tuple[str, ...]:
    """Return a data file's lines; a blank at an end is a part of what is looked for."""
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return tuple(dict.fromkeys(line for line in lines if line.strip() and not line.lstrip().startswith("#")))


_ENTRIES: Final[dict[str, Callable[[str], tuple[str, ...]]]] = {"pm": _phrases, "ipMatch": _networks}


def _from_file(name: str, argument: str, folder: Path, *, negated: bool) -> Operator:
    written: Parts = (argument.strip(),)
    file = folder / argument.strip()
    if re.match(r"https?://", argument.strip()):
        raise Mistake(f"@{name} never fetches {argument.strip()}; save it as a file beside the rules")
    try:
        lines = _lines(file.read_text(encoding="utf-8"))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Mistake(f"@{name} can't read {file}: {why}") from error
    except UnicodeDecodeError as error:
        raise Mistake(f"@{name} can't read {file}: it is not UTF-8 text") from error
    except ValueError as error:
        raise Mistake(f"@{name} can't read {argument.strip()!r}: that is no name of a file") from error
    if not lines:
        raise Mistake(f"@{name} finds nothing in {file}; write one entry a line")
    if name == "ipMatchFromFile":
        try:
            lines = tuple(dict.fromkeys(_network(line.split("#", 1)[0].strip()) for line in lines))
        except Mistake as error:
            raise Mistake(f"@{name} in {file}: {error}") from None
    return Operator(name, written, negated, file=file, entries=lines)
