"""What the edge remembers of texts that clients choose is bounded in bytes, not only in number."""

import pytest

from tests.support.lua import Lua

MEBIBYTE = 1 << 20
CALLS = {
    "header names": "local name = require('bartizan.headers').name; name('x-' .. i .. filler)",
    "argument names": "require('bartizan.redact').query(i .. filler .. '=1')",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_long_texts_fill_no_memory(call: str) -> None:
    lua = Lua()
    # As long as nginx lets a line be. What is remembered by number alone would hold 16 MiB after a thousand.
    lua.execute(f"function attack(count) local filler = ('y'):rep(16000) for i = 1, count do {call} end end")
    lua.execute("attack(10)")
    before = lua.memory()
    lua.execute("attack(1000)")
    assert lua.memory() - before < MEBIBYTE


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_many_short_texts_fill_little(call: str) -> None:
    lua = Lua()
    lua.execute(f"function attack(count) local filler = ('y'):rep(40) for i = 1, count do {call} end end")
    before = lua.memory()
    lua.execute("attack(20000)")
    assert lua.memory() - before < 2 * MEBIBYTE
