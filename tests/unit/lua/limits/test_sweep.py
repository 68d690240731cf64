"""lua/bartizan/limits/sweep.lua: takes away what nothing is lost by, oldest first, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lua.limits.world import Model, kill

MODEL = Model()
KEYS = MODEL.lua.require("bartizan.limits.keys")


def bucket(name: str, burst: int = 1) -> dict[str, Any]:
    return {"job": "take", "key": f"1f2e3d4cr|a{name}", "interval": 100, "depth": 100 * burst}


def inside(name: str) -> dict[str, Any]:
    return {"job": "enter", "key": f"1f2e3d4cc|a{name}", "limit": 5}


def left(outcome: Any) -> list[str]:
    return [key[-1] for key in MODEL.lua.python(outcome.world.order)]


def swept(outcome: Any) -> list[int]:
    return [entry[3] for entry in outcome.log if entry[0] == "sweep"]


def sweep(count: int = 10) -> dict[str, Any]:
    return {"job": "sweep", "count": count}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("1f2e3d4cr3600|a10.0.0.1", "bucket"),
        ("1f2e3d4cc|ca client", "slots"),
        ("1f2e3d4cw|hname=value", "slots"),
        ("!region-1", None),
        ("1f2e3d4cx", None),
        ("route|r123", None),
        ("", None),
    ],
)
def test_kind(key: str, kind: str | None) -> None:
    assert KEYS.kind(key) == kind


def test_a_bucket_goes_when_it_is_full_and_not_before() -> None:
    outcome = MODEL.play([[bucket("1"), {"job": "wait", "time": 99}, sweep()]], [])
    assert (swept(outcome), left(outcome)) == ([0], ["1"])
    outcome = MODEL.play([[bucket("1"), {"job": "wait", "time": 100}, sweep()]], [])
    assert (swept(outcome), left(outcome)) == ([1], [])


def test_slots_go_when_nobody_is_inside() -> None:
    stay, go = inside("1"), inside("2")
    outcome = MODEL.play([[stay, go, {**go, "job": "leave"}, sweep()]], [])
    assert (swept(outcome), left(outcome)) == ([1], ["1"])


def test_slots_of_the_dead_go() -> None:
    outcome = MODEL.play([[inside("1")], [sweep()]], [*[0] * 20, kill(0)])
    assert (swept(outcome), left(outcome)) == ([1], [])


def test_the_oldest_are_looked_at_and_what_stays_is_looked_at_last() -> None:
    many = [bucket(str(i), burst=9) for i in range(6)]
    outcome = MODEL.play([[*many, many[0], sweep(2), {"job": "wait", "time": 500}, sweep(4)]], [])
    # The first sweep looked at 1 and 2, which were not full yet: then come 3, 4, 5, and 0.
    assert (swept(outcome), left(outcome)) == ([0, 4], ["1", "2"])
