"""lua/bartizan/random.lua: request ids that do not repeat."""

import re
from typing import Any

import pytest

from tests.support.lua import Lua


class Ids:
    """A worker's ids."""

    def __init__(self) -> None:
        self._random: Any = Lua().require("bartizan.random")
        self._random.seed()

    def id(self) -> str:
        return str(self._random.text(*self._random.next()))


@pytest.fixture
def random() -> Ids:
    return Ids()


def test_ids_are_32_hex_digits_that_no_trace_id_may_lack(random: Ids) -> None:
    assert all(re.fullmatch(r"[0-9a-f]{32}", random.id()) for _ in range(1000))


def test_ids_do_not_repeat(random: Ids) -> None:
    assert len({random.id() for _ in range(50_000)}) == 50_000


def test_workers_that_seed_have_ids_of_their_own(random: Ids) -> None:
    other = Ids()
    assert random.id()[:24] != other.id()[:24]
    assert random.id()[:24] == random.id()[:24]


def test_the_last_digits_look_like_any(random: Ids) -> None:
    # Tracing systems sample by them: half of the ids must have each bit set.
    ids = [int(random.id()[-8:], 16) for _ in range(4096)]
    for bit in range(32):
        share = sum(number >> bit & 1 for number in ids) / len(ids)
        assert 0.4 < share < 0.6, bit
