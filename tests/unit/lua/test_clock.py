"""lua/bartizan/clock.lua: the machine's monotonic clock; and no limit looks at another."""

import re
import time
from pathlib import Path

import pytest

from tests.support.lua import ROOT, Lua

LUA = ROOT / "lua" / "bartizan"
TIMED = [
    *sorted((LUA / "limits").glob("*.lua")),
    LUA / "guards" / "rate.lua",
    LUA / "guards" / "concurrency.lua",
]
# The wall clock, and the dict's lifetimes, which follow it.
WALL = re.compile(
    r"ngx\.(now|time|today|localtime|utctime|update_time)\b|os\.(time|date)\b|[:.](expire|ttl)\("
)


def test_it_is_the_monotonic_clock_in_whole_microseconds() -> None:
    clock = Lua().require("bartizan.clock")
    readings = [time.monotonic_ns() // 1000]
    for _ in range(1000):
        readings += [clock.now(), time.monotonic_ns() // 1000]
    assert readings == sorted(readings)
    assert all(reading == int(reading) for reading in readings)


@pytest.mark.parametrize("path", TIMED, ids=lambda path: path.name)
def test_a_clock_that_is_set_changes_no_limit(path: Path) -> None:
    assert not WALL.findall(path.read_text())


def test_the_wall_clock_would_be_found() -> None:
    assert len(WALL.findall("local now = ngx.now() os.time() dict:expire(key, 1)")) == 3
    assert len(TIMED) > 7
