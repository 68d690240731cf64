"""lua/bartizan/keysets/schedule.lua: when to fetch again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

jitter = st.floats(0, 1, exclude_max=True)


@pytest.fixture(scope="module")
def schedule() -> Any:
    return Lua().require("bartizan.keysets.schedule")


@given(fresh=st.integers(0, 10**9), random=jitter)
def test_never_later_than_the_issuer_said_nor_than_an_hour(schedule: Any, fresh: int, random: float) -> None:
    delay = schedule.after_success(fresh, random)
    assert 5 <= delay <= max(5, min(fresh, 3600))
    assert delay >= min(fresh, 3600) * 0.9


def test_an_issuer_that_says_nothing_is_asked_every_five_minutes(schedule: Any) -> None:
    assert schedule.after_success(None, 0) == 300
    assert schedule.after_success(None, 0.999) == pytest.approx(270, abs=1)


@given(failures=st.integers(1, 10**6), random=jitter)
def test_back_off_doubles_up_to_half_a_minute(schedule: Any, failures: int, random: float) -> None:
    full = min(2 ** min(failures - 1, 20), 30)
    assert full / 2 <= schedule.after_failure(failures, random) <= full
    assert schedule.after_failure(failures, 0) == full
