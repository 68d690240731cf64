"""Writing values into nginx.conf so that no value can be more than a value."""

import re
from typing import Any, Final

_WORD: Final = re.compile(r"[A-Za-z0-9_./:-]+", re.ASCII)
_LUA_SPECIAL: Final = re.compile(r"[^A-Za-z0-9_./-]", re.ASCII)


class RenderError(ValueError):
    """A value that nginx.conf can't hold; the message says which and why."""


class Bare(str):
    """Text that was found fit to stand in nginx.conf without quotes."""

    __slots__ = ()


def word(value: object) -> Bare:
    """Return a value as a part of a bare word.

    Raises:
        RenderError: it has a character that means something to nginx.
    """
    text = str(value)
    if not _WORD.fullmatch(text):
        raise RenderError(f"{text!r} can't stand in nginx.conf as a word")
    return Bare(text)


def words(values: tuple[str, ...]) -> Bare:
    """Return words, each with a space before it."""
    return Bare("".join(f" {word(value)}" for value in values))


def quoted(value: str) -> Bare:
    """Return a value as a quoted string of nginx.conf.

    Raises:
        RenderError: nginx has no way to write it: `$` would begin a variable, and there are no escapes for
            control characters.
    """
    if "$" in value:
        raise RenderError(f"{value!r} has a $, which nginx takes for a variable; use a name without one")
    if not value.isprintable():
        raise RenderError(f"{value!r} has characters that can't be printed, which nginx.conf can't hold")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return Bare(f'"{escaped}"')


def duration(seconds: float) -> Bare:
    """Return a time as nginx takes it."""
    return Bare(f"{max(1, round(seconds * 1000))}ms")


def lua_string(value: str) -> Bare:
    """Return a value as a Lua string inside a block of nginx.conf.

    Whatever is not plain becomes a decimal escape: it ends neither the string nor the block.
    """
    escaped = _LUA_SPECIAL.sub(lambda found: "".join(f"\\{byte:03d}" for byte in found[0].encode()), value)
    return Bare(f'"{escaped}"')


def finalize(value: Any) -> str:
    """Write what a template expression gave; all of them end here.

    Text is quoted unless a filter has found it fit to stand bare; all but text and whole numbers is a slip.
    """
    if isinstance(value, Bare):
        return str(value)
    if isinstance(value, str):
        return str(quoted(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"{value!r} can't be written into nginx.conf")
