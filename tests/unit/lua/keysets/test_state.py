"""lua/bartizan/keysets/state.lua: whose turn to fetch it is, and how often requests bring a fetch forward."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.support.lua import Lua

MINUTE = 60_000_000

# A dict of which every call is a step: workers are put aside between them.
DICT = """
local values = {}
local yield = coroutine.yield
local function step()
    if coroutine.running() then
        yield()
    end
end
return {
    values = values,
    get = function(_, key) step() return values[key] end,
    safe_set = function(_, key, value) step() values[key] = value return true end,
    safe_add = function(_, key, value)
        step()
        if values[key] ~= nil then
            return false, "exists"
        end
        values[key] = value
        return true
    end,
    incr = function(_, key, value) step() values[key] = values[key] + value return values[key] end,
}
"""

# Plays workers that ask, each at its own time, in an order of steps; then each to its end.
PLAY = """
local state, times, order = ...
local workers = {}
for i, time in ipairs(times) do
    workers[i] = coroutine.create(function() state:ask(time) end)
end
for _, i in ipairs(order) do
    coroutine.resume(workers[i])
end
for _, worker in ipairs(workers) do
    while coroutine.status(worker) ~= "dead" do
        assert(coroutine.resume(worker))
    end
end
"""


class World:
    """A state of its own over a dict of its own."""

    def __init__(self) -> None:
        self.lua = Lua()
        self.dict = self.lua.execute(DICT)
        self.state = self.lua.require("bartizan.keysets.state").new(self.dict, "one|")

    def value(self, name: str) -> Any:
        return self.dict["values"]["one|" + name]

    def ask(self, *times: int, order: tuple[int, ...] = ()) -> None:
        """Ask at these times, one worker each, in an order of steps."""
        self.lua.execute(PLAY, self.state, self.lua.table(list(times)), self.lua.table(list(order)))


def test_requests_bring_one_fetch_a_minute_forward() -> None:
    world = World()
    for time, due in ((1000, 1000), (2000, 1000), (MINUTE, 1000), (MINUTE + 1000, MINUTE + 1000)):
        world.ask(time)
        assert world.value("due") == due


def test_a_fetch_that_is_due_anyway_is_not_put_off() -> None:
    world = World()
    world.state.put(world.state, "due", 5)
    world.ask(1000)
    world.state.put(world.state, "due", 7)
    world.ask(2000)
    assert world.value("due") == 7


@pytest.mark.parametrize("asked_before", [False, True])
def test_of_workers_that_ask_at_once_one_is_heard(asked_before: bool) -> None:
    """Every order in which two workers can take their steps; and a third comes after them."""
    orders = 0
    for order in product((1, 2), repeat=8):
        world = World()
        start = 1000
        if asked_before:
            world.ask(start)
            start += MINUTE
        world.state.put(world.state, "due", start * 2)
        world.ask(start + 1, start + 2, order=order)
        assert world.value("due") in {start + 1, start + 2}
        assert world.value("asked") in {start + 1, start + 2}
        world.state.put(world.state, "due", start * 2)
        world.ask(start + 3)
        assert world.value("due") == start * 2
        orders += 1
    assert orders == 256


def test_a_turn_is_one_workers() -> None:
    """The same worker asks again while it waits for the answer; other processes: unit/lua/limits."""
    world = World()
    assert world.state.take_turn(world.state) is True
    assert world.state.take_turn(world.state) is False
    again = world.lua.require("bartizan.keysets.state").new(world.dict, "one|")
    assert again.take_turn(again) is False, "a reload finds the same lock"
    other = world.lua.require("bartizan.keysets.state").new(world.dict, "two|")
    assert other.take_turn(other) is True
    world.state.end_turn(world.state)
    assert again.take_turn(again) is True
