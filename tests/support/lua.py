"""The edge's pure Lua under test: inside pytest by lupa's LuaJIT, and in a process of Debian's own `luajit`.

    lua = Lua()                                     # str in and out, as UTF-8
    ranges = lua.require("bartizan.ranges")
    ranges.parse("10.0.0.0/8")                      # several results come as a tuple, nil as None
    lua.table({"limit": 5, "names": ["a", "b"]})    # Python data to Lua tables, all the way down
    lua.python(table)                               # and back

    lua = Lua(encoding="latin-1")                   # for what is not UTF-8: bytes in, out a character a byte

Modules under `lua/` are found by their own name (`bartizan.json`), those under `tests/` by theirs
(`cases.json_cases`). There is no `ngx`: what needs it is tested in a real nginx.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Final

from lupa import luajit21

ROOT: Final = Path(__file__).resolve().parents[2]
_PATH: Final = f"{ROOT}/lua/?.lua;{ROOT}/tests/?.lua"


class Lua:
    """One LuaJIT of its own, with the edge's modules on its path."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self._runtime = luajit21.LuaRuntime(
            encoding=encoding,
            source_encoding="utf-8",
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
        )
        self._runtime.execute("package.path = ...", _PATH.encode())

    def require(self, module: str) -> Any:
        """Load a module and return what it returns."""
        return self._runtime.execute("return (require(...))", module.encode())

    def execute(self, code: str, *args: Any) -> Any:
        """Run a chunk of Lua, with `...` the arguments, and return what it returns."""
        return self._runtime.execute(code, *args)

    def table(self, value: Any) -> Any:
        """Make a Lua table of a dict or list, and of those inside it."""
        return self._runtime.table_from(value, recursive=True)

    def python(self, value: Any) -> Any:
        """Make a dict or list of a Lua table, and of those inside it; other values stay as they are.

        A table whose keys are 1 to n is a list, and an empty one too.
        """
        if luajit21.lua_type(value) != "table":
            return value
        items = {key: self.python(item) for key, item in value.items()}
        if list(items) == list(range(1, len(items) + 1)):
            return list(items.values())
        return items

    def memory(self) -> int:
        """Collect what is garbage and return the bytes that Lua holds then."""
        self._runtime.execute("collectgarbage() collectgarbage()")
        return int(self._runtime.execute("return collectgarbage('count') * 1024"))


def luajit(script: Path, *args: str, timeout: float = 60) -> str:
    """Run a script under Debian's `luajit`, with the same path, and return what it wrote.

    Raises:
        AssertionError: the script failed; the message has what it wrote to stderr.
    """
    done = subprocess.run(
        ["luajit", str(script), *args],
        env={**os.environ, "LUA_PATH": _PATH},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"luajit {script.name} ended with {done.returncode}: {done.stderr}"
    return done.stdout
