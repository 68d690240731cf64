"""lua/bartizan/waf/memo.lua: what it knows for sure, and that it is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

LUA = Lua(encoding="latin-1")
MEMO = LUA.require("bartizan.waf.memo")


def test_an_unknown_value_is_nil_and_a_clean_one_is_false() -> None:
    memo = MEMO.new(10, 10000)
    assert memo.get(memo, "a") is None
    memo.set(memo, "a", False)
    memo.set(memo, "b", LUA.table([7, 9]))
    assert memo.get(memo, "a") is False
    assert LUA.python(memo.get(memo, "b")) == [7, 9]


def test_as_many_as_fit_into_a_generation_are_known() -> None:
    memo = MEMO.new(10, 100000)
    for number in range(100):
        memo.set(memo, str(number), False)
    known = [number for number in range(100) if memo.get(memo, str(number)) is False]
    assert set(range(90, 100)) <= set(known)
    assert len(known) <= 20


def test_what_is_asked_for_is_not_forgotten() -> None:
    memo = MEMO.new(10, 100000)
    memo.set(memo, "often", False)
    for number in range(1000):
        memo.set(memo, str(number), False)
        assert memo.get(memo, "often") is False


def test_bytes_are_bounded() -> None:
    memo = MEMO.new(1000, 10000)
    for number in range(100):
        memo.set(memo, f"{number:03}" + "x" * 997, False)
    known = [n for n in range(100) if memo.get(memo, f"{n:03}" + "x" * 997) is False]
    assert 99 in known
    assert len(known) <= 2 * 10000 // 1000


def test_the_bytes_of_an_answer_that_is_a_text_count() -> None:
    memo = MEMO.new(1000, 10000)
    for number in range(100):
        memo.set(memo, str(number), "x" * 900)
    known = [number for number in range(100) if memo.get(memo, str(number))]
    assert 99 in known
    # 900 of the answer, 64 of overhead, 1 or 2 of the value: ten in each of two generations. To ask for one
    # of the old makes it young, and puts others out.
    assert 10 <= len(known) <= 20


def test_memory_does_not_grow() -> None:
    memo = MEMO.new(256, 32768)
    fill = LUA.execute("""return function(memo, first, last)
        for i = first, last do memo:set("value " .. i, false) end
    end""")
    fill(memo, 1, 2000)
    before = LUA.memory()
    fill(memo, 2001, 40000)
    assert LUA.memory() < before + 65536


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30))))
def test_an_answer_is_the_one_last_set(steps: list[tuple[bool, int]]) -> None:
    memo, model = MEMO.new(4, 1000), {}
    for is_set, number in steps:
        if is_set:
            model[number] = number % 2 == 0 and LUA.table([number])
            memo.set(memo, str(number), model[number])
        answer = memo.get(memo, str(number))
        assert answer is None or LUA.python(answer) == LUA.python(model[number])
