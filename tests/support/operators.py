"""SecLang's operators of the edge under test, by values of any bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tests.support.libmodsecurity import Answer
from tests.support.lua import Lua

_CHECK: Final = """
    local op, value, argument = ...
    local captures = {}
    local matches, text = op.check(op, value, argument, captures)
    return matches, text, captures
"""


class Operators:
    """Makes operators in one Lua and asks them."""

    def __init__(self) -> None:
        self.lua: Final = Lua(encoding="latin-1")
        self._new = self.lua.require("bartizan.waf.operators").new

    def make(self, name: str, argument: bytes = b"", entries: Sequence[bytes] = ()) -> Any:
        """Make an operator; raises lupa's LuaError with its sentence."""
        return self._new(
            self.lua.table(
                {
                    "name": name,
                    "argument": [argument.decode("latin-1")],
                    "entries": [entry.decode("latin-1") for entry in entries],
                }
            )
        )

    def ask(self, op: Any, value: bytes, argument: bytes | None = None) -> Answer | str:
        """Ask an operator about a value; an error that it returns comes as text."""
        late = None if argument is None else argument.decode("latin-1")
        matches, text, captures = self.lua.execute(_CHECK, op, value.decode("latin-1"), late)
        if matches is None:
            return str(text)
        found = {number: capture.encode("latin-1") for number, capture in captures.items()}
        return Answer(matches=matches, captures=found)
