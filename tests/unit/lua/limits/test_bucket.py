"""lua/bartizan/limits/bucket.lua: exact under every order of steps, by the bound itself."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import comb
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.lua.limits.world import Model, Step, kill, schedules

KEY = "1f2e3d4cr1|a10.0.0.1"
MODEL = Model()
BUCKET = MODEL.lua.require("bartizan.limits.bucket")

# Six calls on the store: begin, now, find, new_bucket, set_instant, finish. The first step goes up to the
# first of them; instant is a seventh where the bucket is there already.
TAKE_STEPS = 8


def take(interval: float = 100, burst: int = 1) -> dict[str, Any]:
    return {"job": "take", "key": KEY, "interval": interval, "depth": interval * burst}


def wait(time: float) -> dict[str, Any]:
    return {"job": "wait", "time": time}


SWEEP = {"job": "sweep", "count": 10}


def excess(stamps: Sequence[int], interval: float, burst: int) -> Fraction:
    """Tell by how many requests the worst span of time is above burst + rate * t."""
    step = Fraction(interval)
    return max(
        (
            (last - first + 1) - burst - (stamps[last] - stamps[first]) / step
            for first in range(len(stamps))
            for last in range(first, len(stamps))
        ),
        default=Fraction(0),
    )


@pytest.mark.parametrize(
    ("limit", "period", "interval"),
    [
        (200, 1, 5000),
        (1, 1, 1_000_000),
        (10, 60, 6_000_000),
        (100, 3600, 36_000_000),
        (3, 1, 333_333 + 86 / 256),
        (1_000_000, 1, 1),
    ],
)
def test_interval(limit: int, period: int, interval: float) -> None:
    assert BUCKET.interval(limit, period) == interval


@given(limit=st.integers(1, 1_000_000), period=st.sampled_from([1, 60, 3600]))
def test_an_interval_never_gives_more_than_the_rate(limit: int, period: int) -> None:
    interval = Fraction(BUCKET.interval(limit, period))
    assert 0 <= interval - Fraction(period * 1_000_000, limit) < Fraction(1, 256)
    assert interval * 256 % 1 == 0  # so that a double adds it without error


@given(
    gaps=st.lists(st.integers(0, 700), max_size=40),
    interval=st.sampled_from([1, 100, 333.33203125]),
    burst=st.integers(1, 6),
    sweeping=st.booleans(),
)
def test_one_worker_lets_through_all_that_the_bound_admits(
    gaps: list[int], interval: float, burst: int, sweeping: bool
) -> None:
    """A request passes if, and only if, no span of time has too many with it."""
    jobs: list[dict[str, Any]] = []
    for gap in gaps:
        jobs += [wait(gap), take(interval, burst)] + ([SWEEP] if sweeping else [])
    decisions = [entry for entry in MODEL.play([jobs], []).log if entry[0] == "take"]
    assert len(decisions) == len(gaps)
    passed: list[int] = []
    for _, _, stamp, ahead, _, _ in decisions:
        admitted = excess([*passed, stamp], interval, burst) <= 0
        assert (ahead is not False) == admitted
        if admitted:
            passed.append(stamp)


@given(
    gaps=st.lists(st.integers(0, 250), max_size=30),
    burst=st.integers(1, 6),
)
def test_what_is_refused_is_let_through_after_the_time_that_was_said(gaps: list[int], burst: int) -> None:
    jobs = [job for gap in gaps for job in (wait(gap), take(burst=burst))]
    last = MODEL.play([[*jobs, take(burst=burst)]], []).log[-1]
    if last[4] != "refused":
        return
    lacking = last[5]
    assert 0 < lacking <= 100
    in_time, early = (
        MODEL.play([[*jobs, take(burst=burst), wait(pause), take(burst=burst)]], []).log[-1]
        for pause in (lacking, lacking - 1)
    )
    assert in_time[3] is not False
    assert early[3:5] == [False, "refused"]


@given(gaps=st.lists(st.integers(0, 150), min_size=1, max_size=30), burst=st.integers(1, 8))
def test_what_waits_its_turn_leaves_at_the_rate(gaps: list[int], burst: int) -> None:
    """The delays that a bucket gives never let two leave closer together than the interval."""
    jobs = [job for gap in gaps for job in (wait(gap), take(burst=burst))]
    leaving = [
        entry[2] + entry[3]
        for entry in MODEL.play([jobs], []).log
        if entry[0] == "take" and entry[3] is not False
    ]
    assert leaving
    assert all(later - sooner >= 100 for sooner, later in pairwise(leaving))


def test_a_full_store_is_not_a_refusal() -> None:
    full, known = [
        MODEL.play([[{**take(), "key": "00000000r|a1"}, wait(1000), job]], [], capacity=1).log[-1]
        for job in (take(), {**take(), "key": "00000000r|a1"})
    ]
    assert full[3:] == [False, "full", False]
    assert known[3] == 0


def test_no_order_of_steps_lets_two_through_where_one_may_pass() -> None:
    orders = MODEL.every([[take()], [take()]], TAKE_STEPS, KEY)
    assert orders.count == comb(2 * TAKE_STEPS, TAKE_STEPS)
    assert (orders.least_granted, orders.most_granted) == (1, 1)


def test_without_the_lock_some_order_does() -> None:
    """What the test above looks for is there to be found."""
    assert MODEL.every([[take()], [take()]], TAKE_STEPS, KEY, unlocked=True).most_granted == 2


def test_a_worker_killed_at_any_step_costs_one_request_at_most() -> None:
    for step in range(TAKE_STEPS):
        outcome = MODEL.play([[take(burst=2)] * 2, [take(burst=2)] * 3], [0] * step + [kill(0)])
        assert 1 <= len(outcome.passed()) <= 2
        assert sum(1 for entry in outcome.log if entry[1] == 1) == 3


def test_a_worker_put_aside_until_the_bucket_was_full_and_swept_gets_no_old_stamp() -> None:
    for step in range(TAKE_STEPS):
        others = [take(), wait(100), SWEEP]
        assert excess(MODEL.play([[take()], others], [0] * step + [1] * 40).passed(), 100, 1) <= 0


@settings(max_examples=400)
@given(
    schedule=schedules(3),
    burst=st.integers(1, 4),
    idle=st.sampled_from([0, 5000]),
    takes=st.integers(1, 12),
)
def test_no_schedule_lets_more_through_than_the_bound(
    schedule: list[Step], burst: int, idle: int, takes: int
) -> None:
    """Three workers and their sweeps, put aside and killed anywhere, over a bucket that may be full."""
    jobs = [take(burst=burst), SWEEP, *[take(burst=burst)] * takes]
    outcome = MODEL.play([[*jobs, wait(idle), *jobs], jobs, [SWEEP, *jobs]], schedule)
    assert excess(outcome.passed(), 100, burst) <= 0
