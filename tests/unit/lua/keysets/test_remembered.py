"""lua/bartizan/keysets/remembered.lua: bounded in number and bytes, and what is in use stays."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

MEBIBYTE = 1 << 20
SURE = 2048


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua()


@pytest.fixture
def remembered(lua: Lua) -> Any:
    return lua.require("bartizan.keysets.remembered").new()


def test_what_was_set_is_there_and_nothing_else(remembered: Any) -> None:
    remembered.set(remembered, "Bearer a", 1)
    assert remembered.get(remembered, "Bearer a") == 1
    assert remembered.get(remembered, "bearer a") is None
    assert remembered.get(remembered, "Bearer a ") is None


def test_everything_is_forgotten_at_once(remembered: Any) -> None:
    for number in range(SURE + 1):
        remembered.set(remembered, f"{number}", number)
    remembered.forget(remembered)
    assert all(remembered.get(remembered, f"{number}") is None for number in range(SURE + 1))


def test_the_last_ones_are_known_and_old_ones_are_not(remembered: Any) -> None:
    for number in range(3 * SURE):
        remembered.set(remembered, f"{number}", number)
    assert all(remembered.get(remembered, f"{n}") == n for n in range(2 * SURE, 3 * SURE))
    assert all(remembered.get(remembered, f"{n}") is None for n in range(SURE))


def test_one_in_use_outlives_thousands_that_are_not(remembered: Any) -> None:
    remembered.set(remembered, "in use", 7)
    for number in range(10 * SURE):
        remembered.set(remembered, f"{number}", number)
        if number % (SURE // 2) == 0:
            assert remembered.get(remembered, "in use") == 7


@pytest.mark.parametrize("length", [40, 650, 8192])
def test_memory_is_bounded_however_long_they_are(length: int) -> None:
    lua = Lua()
    lua.execute("remembered = require('bartizan.keysets.remembered').new()")
    lua.execute(
        "function fill(count, length) local filler = ('y'):rep(length - 8)"
        " for i = 1, count do remembered:set(('%08d'):format(i) .. filler, true) end end"
    )
    before = lua.memory()
    lua.execute("fill(...)", 10_000, length)
    # Two generations of at most 1 MiB, and the room of the tables.
    assert lua.memory() - before < 2.5 * MEBIBYTE


@given(uses=st.lists(st.integers(0, 4), max_size=200))
def test_a_token_is_known_as_long_as_few_others_come(lua: Lua, uses: list[int]) -> None:
    """With header values so long that five fill a generation, against an order of use kept exactly."""
    remembered: Any = lua.require("bartizan.keysets.remembered").new()
    values = [str(number) * (MEBIBYTE // 3) for number in range(5)]
    used: OrderedDict[int, None] = OrderedDict()
    for number in uses:
        known = remembered.get(remembered, values[number])
        # Three fit into a generation, so the three that were used last are known.
        assert known in (None, number)
        if number in list(used)[-3:]:
            assert known == number
        if known is None:
            remembered.set(remembered, values[number], number)
        used.pop(number, None)
        used[number] = None
