"""lua/bartizan/guards/concurrency.lua in one worker: who waits, who is woken, what is given back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.lua import Lua

GOOD: dict[str, Any] = {"limit": 1, "wait": 2, "wait_time": 1.0, "by": "address"}


class World:
    """One guard in a LuaJIT of its own."""

    def __init__(self, **settings: Any) -> None:
        self.lua = Lua()
        self.world = self.lua.require("unit.lua.guards.one_worker")
        self.guard = self.world.new("concurrency", self.lua.table({**GOOD, **settings}))

    def ask(self, *, observing: bool = False) -> Asking:
        return Asking(self, observing)

    @property
    def counts(self) -> tuple[int, int]:
        """How many are held, and how many wait."""
        return self.world.held, self.world.waiting


class Asking:
    """One request, its check begun."""

    def __init__(self, world: World, observing: bool) -> None:
        self._world = world
        self._request = world.world.request()
        self._thread = world.world.begin("concurrency", world.guard, self._request, observing)
        self.outcome: Any = None
        self.go_on()

    def go_on(self, woken: bool | None = None) -> Any:
        """Let the check go on; say whether it was woken or its wait ran out."""
        self.outcome = self._world.world.go_on(self._thread, *([] if woken is None else [woken]))
        return self.outcome

    def release(self) -> None:
        self._world.world.release("concurrency", self._world.guard, self._request)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"limit": 0}, "concurrency: limit must be a whole number of 1 or more"),
        ({"wait": -1}, "concurrency: wait must be a whole number of 0 or more"),
        ({"wait": 0.5}, "concurrency: wait must be a whole number of 0 or more"),
        ({"wait_time": 0}, "concurrency: wait_time must be more than 0 seconds"),
        ({"wait_time": "1s"}, "concurrency: wait_time must be more than 0 seconds"),
        ({"by": ""}, 'by is ""; it must be address, client or header:NAME'),
        ({}, None),
    ],
)
def test_settings(change: dict[str, Any], complaint: str | None) -> None:
    lua = Lua()
    said = lua.require("unit.lua.guards.one_worker").complaint("concurrency", lua.table({**GOOD, **change}))
    assert said == complaint if complaint is None else said.endswith(complaint)


def test_without_a_line_it_refuses_at_once() -> None:
    world = World(wait=0)
    first, second = world.ask(), world.ask()
    assert (first.outcome, second.outcome[:2]) == ("passed", ("concurrency_limited", "1"))
    second.release()
    assert world.counts == (1, 0)
    first.release()
    assert world.counts == (0, 0)
    assert world.ask().outcome == "passed"


def test_who_waits_is_woken_by_who_leaves() -> None:
    world = World()
    first, second = world.ask(), world.ask()
    assert second.outcome[0] == "waits"
    assert world.counts == (1, 1)
    first.release()
    assert world.world.posted == 1
    assert second.go_on(woken=True) == "passed"
    assert world.counts == (1, 0)
    second.release()
    # Nobody waited any more.
    assert (world.world.posted, world.counts) == (1, (0, 0))


def test_who_waits_finds_what_another_worker_left() -> None:
    """No bell rings for that: the wait runs out, and it looks."""
    world = World()
    first, second = world.ask(), world.ask()
    assert second.outcome[0] == "waits"
    assert second.outcome[1] <= 0.01
    assert second.go_on(woken=False)[0] == "waits"
    first.release()
    assert second.go_on(woken=False) == "passed"


def test_the_longer_the_line_the_less_each_looks() -> None:
    world = World(wait=50)
    world.ask()
    waits = [world.ask().outcome[1] for _ in range(50)]
    assert waits == sorted(waits)
    assert waits[49] == 50 * waits[0]


def test_the_line_is_bounded() -> None:
    world = World()
    world.ask()
    assert [world.ask().outcome[0] for _ in range(2)] == ["waits", "waits"]
    assert world.ask().outcome[0::2] == (
        "concurrency_limited",
        "more than 1 at once by address, and 2 wait already",
    )
    assert world.counts == (1, 2)


def test_the_wait_is_bounded() -> None:
    world = World()
    world.ask()
    second = world.ask()
    world.world.now = 999_000
    assert second.go_on(woken=False)[0] == "waits"
    world.world.now = 1_000_000
    assert second.go_on(woken=False)[0::2] == (
        "concurrency_limited",
        "more than 1 at once by address, for 1 seconds",
    )
    assert world.counts == (1, 0)
    second.release()
    assert world.counts == (1, 0)


def test_who_comes_while_others_wait_goes_behind_them() -> None:
    world = World()
    first, second = world.ask(), world.ask()
    first.release()
    third = world.ask()
    assert third.outcome[0] == "waits"
    assert second.go_on(woken=True) == "passed"
    assert world.counts == (1, 1)


def test_a_place_in_line_is_given_back_when_the_request_ends_there() -> None:
    """Nginx ends the request of a client that went, where its check waits; the log phase runs."""
    world = World()
    first, second, third = world.ask(), world.ask(), world.ask()
    second.release()
    assert world.counts == (1, 1)
    first.release()
    assert third.go_on(woken=True) == "passed"
    third.release()
    assert world.counts == (0, 0)
    assert [world.ask().outcome, world.ask().outcome[0]] == ["passed", "waits"]


def test_observing_counts_all_and_never_waits() -> None:
    world = World()
    asked = [world.ask(observing=True) for _ in range(3)]
    assert [one.outcome == "passed" for one in asked] == [True, False, False]
    assert asked[1].outcome[0] == "concurrency_limited"
    assert world.counts == (3, 0)
    for one in asked:
        one.release()
    assert world.counts == (0, 0)


def test_release_twice_gives_back_once() -> None:
    world = World(limit=2)
    first, _second = world.ask(), world.ask()
    first.release()
    first.release()
    assert world.counts == (1, 0)


def test_a_full_store_has_an_answer_of_its_own() -> None:
    for wait in (0, 2):
        world = World(wait=wait)
        world.world.full = True
        assert world.ask().outcome[:2] == ("store_full", "1")
        assert world.ask(observing=True).outcome[:2] == ("store_full", "1")
        assert world.counts == (0, 0)
