"""lua/bartizan/guards/rate.lua and limits/subject.lua in one worker, with a clock that the test sets."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

GOOD: dict[str, Any] = {"limit": 10, "period": 60, "burst": 2, "by": "address", "excess": "refuse"}


class World:
    """One guard in a LuaJIT of its own."""

    def __init__(self, **settings: Any) -> None:
        self.lua = Lua()
        self.world = self.lua.require("unit.lua.guards.one_worker")
        self.guard = self.world.new("rate", self.lua.table({**GOOD, **settings}))

    def ask(self, *, observing: bool = False) -> tuple[Any, Any]:
        """Check one request; return what came of it, and the request."""
        request = self.world.request()
        outcome = self.world.go_on(self.world.begin("rate", self.guard, request, observing))
        return outcome, request

    def key(self, headers: dict[str, Any] | None = None, client: str | None = None) -> str:
        return str(self.world.key(self.guard, self.world.request(self.lua.table(headers or {}), client)))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"limit": 0}, "rate: limit must be a whole number of 1 or more"),
        ({"limit": 1.5}, "rate: limit must be a whole number of 1 or more"),
        ({"limit": "10"}, "rate: limit must be a whole number of 1 or more"),
        ({"burst": 0}, "rate: burst must be a whole number of 1 or more"),
        ({"period": None}, "rate: period must be a whole number of 1 or more"),
        ({"excess": "drop"}, "rate: excess must be refuse or delay"),
        ({"by": "cookie"}, 'by is "cookie"; it must be address, client or header:NAME'),
        ({"by": "header:"}, 'by is "header:"; it must be address, client or header:NAME'),
        ({}, None),
    ],
)
def test_settings(change: dict[str, Any], complaint: str | None) -> None:
    lua = Lua()
    settings = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    said = lua.require("unit.lua.guards.one_worker").complaint("rate", lua.table(settings))
    assert said == complaint if complaint is None else said.endswith(complaint)


def test_the_headers_say_what_is_left_and_when_it_is_whole_again() -> None:
    world = World(burst=3)
    said = [world.ask() for _ in range(4)]
    assert [outcome for outcome, _ in said[:3]] == ["passed"] * 3
    assert [request.ratelimit for _, request in said] == [
        '"address";r=2;t=6',
        '"address";r=1;t=12',
        '"address";r=0;t=18',
        '"address";r=0;t=18',
    ]
    assert {request.ratelimit_policy for _, request in said} == {'"address";q=10;w=60'}
    assert said[3][0][:2] == ("rate_limited", "6")


def test_a_bucket_deeper_than_what_is_remembered() -> None:
    world = World(limit=1_000_000, period=1, burst=1_000_000)
    said = [world.ask()[1].ratelimit for _ in range(2)]
    assert said == ['"address";r=999999;t=1', '"address";r=999998;t=1']


@given(pauses=st.lists(st.integers(0, 9_000_000), max_size=12))
def test_retry_after_is_the_least_whole_number_of_seconds_that_is_enough(pauses: list[int]) -> None:
    world = World()
    for pause in pauses:
        world.world.now += pause
        world.ask()
    outcome, _ = world.ask()
    if outcome == "passed":
        return
    begin, seconds = world.world.now, int(outcome[1])
    assert 1 <= seconds <= 6
    world.world.now = begin + (seconds - 1) * 1_000_000
    assert world.ask()[0] != "passed"
    world.world.now = begin + seconds * 1_000_000
    assert world.ask()[0] == "passed"


def test_delay_sleeps_until_the_turn_and_again_when_woken_early() -> None:
    world = World(limit=1, period=1, burst=3, excess="delay")
    assert world.ask()[0] == "passed"
    assert dict(world.world.sleeps) == {}
    world.world.early = 700
    outcome, request = world.ask()
    assert outcome == "passed"
    assert list(world.world.sleeps.values()) == [1, 0.001]
    assert request.decided == world.world.now >= 1_000_000
    assert world.ask()[0] == "passed"
    assert world.world.now >= 2_000_000


def test_delay_refuses_what_is_beyond_the_burst_and_sleeps_not_when_it_observes() -> None:
    world = World(limit=1, period=1, burst=2, excess="delay")
    assert [world.ask(observing=True)[0] for _ in range(2)] == ["passed", "passed"]
    assert world.ask(observing=True)[0][:2] == ("rate_limited", "1")
    assert dict(world.world.sleeps) == {}


def test_a_full_store_has_an_answer_of_its_own() -> None:
    world = World()
    world.world.full = True
    assert world.ask()[0][:2] == ("store_full", "1")


@pytest.mark.parametrize(
    ("by", "headers", "client", "key"),
    [
        ("address", {}, "me", "1f2e3d4cr60|a192.0.2.1"),
        ("client", {}, "me", "1f2e3d4cr60|cme"),
        ("client", {}, None, "1f2e3d4cr60|C192.0.2.1"),
        ("header:X-Key", {"x-key": "v"}, "me", "1f2e3d4cr60|hx-key=v"),
        ("header:x-key", {"x-key": ["v", "w"]}, None, "1f2e3d4cr60|hx-key=v,w"),
        ("header:x-key", {"x-key": ""}, None, "1f2e3d4cr60|Hx-key=192.0.2.1"),
        ("header:x-key", {"x-other": "v"}, None, "1f2e3d4cr60|Hx-key=192.0.2.1"),
        ("header:x-key", {"x-key": "k" * 64}, None, "1f2e3d4cr60|hx-key=" + "k" * 64),
        ("header:x-key", {"x-key": "k" * 65}, None, "1f2e3d4cr60|hx-key=sha1 of 65"),
    ],
)
def test_key(by: str, headers: dict[str, Any], client: str | None, key: str) -> None:
    assert World(by=by).key(headers, client) == key


def test_intervals_that_do_not_divide() -> None:
    """A rate of 7 a second: after a minute of asking all the time, 7 * 60 and the burst, not one more."""
    world = World(limit=7, period=1, burst=2)
    passed = 0
    for _ in range(6000):
        passed += world.ask()[0] == "passed"
        world.world.now += 10_000
    assert passed == math.floor(7 * 59.99 + 2)
