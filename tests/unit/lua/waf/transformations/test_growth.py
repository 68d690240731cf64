"""lua/bartizan/waf/transformations/: work grows as texts do, and no faster.

Work is counted in instructions of the Lua machine, so that a busy machine changes nothing.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.lua import Lua
from tests.support.transformations import NAMES, PIECES

UNITS: Final = [
    *(piece.decode("latin-1") for piece in PIECES),
    *("a/", "../", "&a", "&#1", "&#x1", "<!", "%u004", "\\x4", "0x4g", "\xc3", "\xf0\x9f", "A1"),
]
# Two runs that only together could make a transformation go back and forth.
RUNS: Final = [
    *(("a/", "../"), ("&", "a"), ("/*", "*"), ("<!--", "-")),
    *(("0x", "4"), ("\\", "1"), ("=", "Q"), (" ", "/"), ("Q", " ")),
]

COUNT: Final = """
jit.off()
local transformations = require("bartizan.waf.transformations")
local of = require("bartizan.waf.classes").of
local count = 0
local function tick()
    count = count + 1
end
local function measure(apply, text)
    count = 0
    debug.sethook(tick, "", 10)
    apply(text)
    debug.sethook()
    return count
end
return function(text, doubled)
    local grown = { classes = { measure(of, text), measure(of, doubled) } }
    for name, transformation in pairs(transformations) do
        if type(transformation) == "table" then
            local apply = transformation.apply
            grown[name] = { measure(apply, text), measure(apply, doubled) }
        end
    end
    return grown
end
"""


@pytest.fixture(scope="module")
def operations() -> Any:
    return Lua(encoding="latin-1").execute(COUNT)


def test_operations_are_counted(operations: Any) -> None:
    once, twice = operations("a" * 500, "a" * 1000)["lowercase"].values()
    assert once > 100
    assert 1.8 * once < twice < 2.2 * once


def never_more_than_twice(operations: Any, text: str, doubled: str) -> None:
    counted = dict(operations(text, doubled).items())
    assert len(counted) == len(NAMES) + 1
    for name, counts in counted.items():
        once, twice = counts.values()
        assert twice <= 2.1 * once + 5, name


@pytest.mark.parametrize("unit", UNITS)
def test_a_text_twice_as_long_takes_twice_the_operations(operations: Any, unit: str) -> None:
    never_more_than_twice(operations, unit * 200, unit * 400)


@pytest.mark.parametrize(("first", "second"), RUNS)
def test_two_runs_twice_as_long_take_twice_the_operations(operations: Any, first: str, second: str) -> None:
    never_more_than_twice(operations, *(first * times + second * times for times in (200, 400)))
