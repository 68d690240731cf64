"""lua/bartizan/limits/slots.lua: never one too many, whatever the order, and nothing lost by a kill."""

from __future__ import annotations

from math import comb
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import luajit
from tests.unit.lua.limits.world import Model, Outcome, Step, kill, schedules

KEY = "1f2e3d4cc|a10.0.0.1"
MODEL = Model()

# Eight calls on the store: begin, find, new_slots, places, two of column, change, finish. The first step
# goes up to the first of them.
ENTER_STEPS = 9
LEAVE = {"job": "leave", "key": KEY}
SWEEP = {"job": "sweep", "count": 10}


def enter(limit: float = 1) -> dict[str, Any]:
    return {"job": "enter", "key": KEY, "limit": limit}


def entered(outcome: Outcome) -> list[bool]:
    return [entry[3] for entry in outcome.log if entry[0] == "enter"]


def test_one_worker_enters_up_to_the_limit_and_again_after_leaving() -> None:
    outcome = MODEL.play([[*[enter(2)] * 3, LEAVE, *[enter(2)] * 2]], [])
    assert entered(outcome) == [True, True, False, True, False]
    assert [entry[4] for entry in outcome.log if entry[0] == "enter"] == [1, 2, "refused", 2, "refused"]


def test_without_a_limit_it_only_counts() -> None:
    outcome = MODEL.play([[*[enter(float("inf"))] * 3]], [])
    assert [entry[4] for entry in outcome.log] == [1, 2, 3]


def test_a_full_store_is_not_a_refusal() -> None:
    other = {**enter(), "key": "00000000c|a1"}
    outcome = MODEL.play([[other, enter(), LEAVE, other]], [], capacity=1)
    assert [entry[4] for entry in outcome.log if entry[0] == "enter"] == [1, "full", "refused"]


def test_no_order_of_steps_lets_two_in_where_one_may_be() -> None:
    orders = MODEL.every([[enter()], [enter()]], ENTER_STEPS, KEY)
    assert orders.count == comb(2 * ENTER_STEPS, ENTER_STEPS)
    assert (orders.least_granted, orders.most_granted, orders.most_inside) == (1, 1, 1)


def test_debians_luajit_agrees() -> None:
    lines = luajit(Path(__file__).with_name("orders.lua")).splitlines()
    assert [line.split("\t") for line in lines] == [
        ["bucket", str(comb(16, 8)), "1", "1", "0"],
        ["slots", str(comb(2 * ENTER_STEPS, ENTER_STEPS)), "1", "1", "1"],
    ]


def test_without_the_lock_some_order_does() -> None:
    """What the test above looks for is there to be found."""
    assert MODEL.every([[enter()], [enter()]], ENTER_STEPS, KEY, unlocked=True).most_inside == 2


def test_what_a_killed_worker_held_is_given_back_wherever_it_died() -> None:
    for step in range(3 * ENTER_STEPS):
        outcome = MODEL.play([[enter(2), LEAVE, enter(2)], [enter(2)] * 3], [0] * step + [kill(0)], key=KEY)
        assert [entry[3] for entry in outcome.log if entry[1] == 1] == [True, True, False]
        assert outcome.most <= 2


def test_a_worker_in_the_place_of_a_dead_one_starts_with_nothing() -> None:
    world = MODEL.start([[enter(2)] * 2, []])
    world.play(world, MODEL.schedule([]), KEY)
    world.kill(world, 0)
    world.restart(world, 0, MODEL.jobs([enter(2)] * 3))
    world.play(world, MODEL.schedule([]), KEY)
    log = [list(entry.values()) for entry in world.log.values()]
    assert [entry[3] for entry in log] == [True, True, True, True, False]


@given(schedule=schedules(3), limit=st.integers(1, 4), rounds=st.integers(1, 5))
def test_no_schedule_lets_one_too_many_in_and_none_is_lost(
    schedule: list[Step], limit: int, rounds: int
) -> None:
    """Three workers come and go, sweep, are put aside and killed; a fourth then finds all places free."""
    comings = [[enter(limit), enter(limit), LEAVE, SWEEP, LEAVE] * rounds for _ in range(3)]
    world = MODEL.start([*comings, []])
    most = world.play(world, MODEL.schedule(schedule), KEY)
    assert most <= limit
    for place in range(3):
        world.kill(world, place)
    before = len(world.log)
    world.restart(world, 3, MODEL.jobs([enter(limit)] * (limit + 1)))
    world.play(world, MODEL.schedule([]), KEY)
    log = [list(entry.values()) for entry in world.log.values()][before:]
    assert [entry[3] for entry in log] == [True] * limit + [False]
