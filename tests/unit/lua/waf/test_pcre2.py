"""lua/bartizan/waf/pcre2.lua: what a pattern is, that a match is bounded, and that nothing is left behind."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua
from tests.support.memory import resident_bytes

LIMIT_REACHED: Final = (None, "match limit reached")
MEBIBYTE: Final = 1 << 20

# What each costs grows with a power of the value's length, but no place of it takes many steps.
SLOW: Final = [
    (
        r"(?:<|x)[^0-9<>A-Z_a-z]*(?:[^\s\x0b\"'<>]*:)?[^0-9<>A-Z_a-z]*[^0-9A-Z_a-z]*?(?:s[^a-z]*c|f[^a-z]*o)",
        "<!--",
    ),
    (r"(?:\"|')[\s\S]*[\s/](?:on|style)[\s]*=", "\"' "),
    (r"\s*\s*\s*[xy]$", "  "),
]


# Each looks for its match in a number of ways that grows with a power of the value's length, or faster.
# With each a value that it matches.
CATASTROPHES: Final = [
    ("(a+)+$", "a" * 40 + "b", "aaaa"),
    ("(a|aa)+$", "a" * 60 + "b", "aaaa"),
    ("(?:a|a?)+$", "a" * 40 + "b", "aaaa"),
    ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 60, "a.Aa"),
    ("(.*)(.*)(.*)(.*)(.*)[xz]$", "y" * 2000, "yyyyx"),
    ("(*NO_JIT)(a+)+$", "a" * 40 + "b", "aaaa"),
    # More ways back than there is room for on the stack of compiled patterns.
    ("(?:(a)|b|(c))*[de]", "a" * 3_000_000, "aaae"),
    # The same for those that are interpreted, whose room is in the heap.
    ("(*NO_JIT)(?:(a)|b|(c))*[de]", "a" * 3_000_000, "aaae"),
]


@pytest.fixture
def lua() -> Lua:
    return Lua(encoding="latin-1")


def new(lua: Lua, pattern: str) -> Any:
    return lua.require("bartizan.waf.pcre2").new(pattern)


@pytest.mark.parametrize(("pattern", "value", "twin"), CATASTROPHES, ids=[case[0] for case in CATASTROPHES])
def test_a_match_comes_to_a_bound(lua: Lua, pattern: str, value: str, twin: str) -> None:
    regex = new(lua, pattern)
    assert regex.test(regex, value) == LIMIT_REACHED
    assert regex.find(regex, value, 0) == LIMIT_REACHED
    # And the next value is judged as if nothing had been.
    assert regex.test(regex, twin) is True


@pytest.mark.parametrize(("pattern", "piece"), SLOW)
def test_a_value_comes_to_a_bound_though_no_place_does(lua: Lua, pattern: str, piece: str) -> None:
    regex = new(lua, pattern)
    assert regex.test(regex, piece * 100) is False
    assert regex.test(regex, piece * 250_000) == LIMIT_REACHED
    assert regex.test(regex, piece * 100) is False


def test_the_budget_is_a_requests(lua: Lua) -> None:
    budget = lua.require("bartizan.waf.budget")
    regex = new(lua, "a")
    budget.set(0)
    budget.begin()
    # Nothing is matched any more until the next request.
    assert budget.is_spent()
    assert regex.test(regex, "a") == LIMIT_REACHED
    budget.finish()
    assert not budget.is_running()
    budget.set(60_000)
    budget.begin()
    assert regex.test(regex, "a") is True
    assert not budget.is_spent()
    assert 0 < budget.left() <= 60_000_000
    budget.finish()


def test_the_budget_is_set(lua: Lua) -> None:
    budget = lua.require("bartizan.waf.budget")
    regex = new(lua, r"(?:\"|')[\s\S]*[\s/](?:on|style)[\s]*=")
    value = "\"' " * 2000
    budget.set(60_000)
    assert regex.test(regex, value) is False
    budget.set(0)
    assert regex.test(regex, value) == LIMIT_REACHED


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 127, 128, 129, 1000])
@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("x", "x"),
        ("x$", "x"),
        (r"(?<=a{50})x", "x"),
        (r"\Bx", "x"),
        ("(?-m)x$", "x"),
        (r"x\z", "x"),
        (r"(?:a|b)*x", "x"),
        (r"a{0,600}x", "x"),
        (r"[\s\S]*x", "x"),
        (r"(?<!a)bx", "bx"),
    ],
)
def test_a_match_is_found_wherever_it_begins(lua: Lua, pattern: str, value: str, length: int) -> None:
    """Places are tried by strides: what Python finds in one go is found over their ends."""
    regex = new(lua, pattern)
    text = "a" * length + value
    # Python has no (?-m), which is its default; `$` and \\z are the same where no line feed is.
    found = re.search(pattern.replace("(?-m)", "").replace(r"\z", r"\Z"), text)
    assert regex.find(regex, text, 0) == (False if found is None else found.span())


ANCHORED: Final = [r"\Ab", "(?-m)^b", r"\Gb", "(?s:.*)b$", r"\A(?:a|b)*c", r"(?:z|\Gb)"]


@pytest.mark.parametrize("pattern", ANCHORED)
def test_what_is_bound_to_the_beginning_stays_bound(lua: Lua, pattern: str) -> None:
    regex = new(lua, pattern)
    filler = "a" * 64
    assert regex.test(regex, "b" + "c" * 300) is not pattern.startswith("(?s")
    assert regex.test(regex, filler + "b" + filler + "c" * 300) is (pattern == ANCHORED[4])
    assert regex.test(regex, filler * 4 + "b") is (pattern == ANCHORED[3])


@pytest.mark.parametrize("verb", ["", "(*NO_JIT)"])
def test_the_limit_is_set(lua: Lua, verb: str) -> None:
    pcre2 = lua.require("bartizan.waf.pcre2")
    regex = new(lua, verb + "(a+)+$")
    value = "a" * 12 + "b"
    assert regex.test(regex, value) is False
    pcre2.set_match_limit(100)
    assert regex.test(regex, value) == LIMIT_REACHED
    pcre2.set_match_limit(1_000_000)
    assert regex.test(regex, value) is False


def test_a_pattern_cannot_raise_the_limit(lua: Lua) -> None:
    regex = new(lua, "(*LIMIT_MATCH=4000000000)(a+)+$")
    assert regex.test(regex, "a" * 40 + "b") == LIMIT_REACHED


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "missing closing parenthesis at byte 2 of the pattern"),
        ("[a", "missing terminating ] for character class at byte 2 of the pattern"),
        ("(*UTF)a", "using UTF is disabled by the application at byte 6 of the pattern"),
    ],
)
def test_a_pattern_with_a_mistake_is_refused(lua: Lua, pattern: str, message: str) -> None:
    assert new(lua, pattern) == (None, message)


def test_a_pattern_that_is_no_text_is_the_callers_mistake(lua: Lua) -> None:
    with pytest.raises(Exception, match="expected a string, got nil"):
        lua.require("bartizan.waf.pcre2").new(None)


def test_the_place_of_a_match(lua: Lua) -> None:
    regex = new(lua, r"\ba")
    assert regex.find(regex, "a ba a", 0) == (0, 1)
    # What is before the place counts as context: there is no word's beginning between b and a.
    assert regex.find(regex, "a ba a", 3) == (5, 6)
    assert regex.find(regex, "a ba a", 6) is False


def test_a_freed_one_matches_no_more(lua: Lua) -> None:
    regex = new(lua, "a")
    assert regex.test(regex, "a") is True
    regex.free(regex)
    matches, error = regex.test(regex, "a")
    assert matches is None
    assert error.startswith("matching failed: ")


@given(
    st.text(st.characters(max_codepoint=255), max_size=12),
    st.lists(st.text(st.characters(max_codepoint=255)), max_size=4),
)
def test_any_pattern_and_any_value_have_an_outcome(pattern: str, values: list[str]) -> None:
    lua = SHARED
    regex = new(lua, pattern)
    if isinstance(regex, tuple):
        assert regex[0] is None
        assert " at byte " in regex[1]
        return
    for value in values:
        outcome = regex.test(regex, value)
        assert isinstance(outcome, bool) or outcome == LIMIT_REACHED


SHARED: Final = Lua(encoding="latin-1")


def test_what_is_dropped_is_freed(lua: Lua) -> None:
    lua.execute("""
        local pcre2 = require("bartizan.waf.pcre2")
        function churn(count)
            for i = 1, count do
                local regex = pcre2.new("(?:" .. ("ab|cd[xyz]|"):rep(100) .. i .. ")")
                regex:test("abc")
                if i % 2 == 0 then regex:free() end
                if i % 100 == 0 then collectgarbage() end
            end
            collectgarbage()
        end
    """)
    lua.execute("churn(500)")
    before = resident_bytes()
    # More than 100 MiB if it stayed.
    lua.execute("churn(5000)")
    assert resident_bytes() - before < 16 * MEBIBYTE


def test_patterns_of_macros_are_bounded(lua: Lua) -> None:
    lua.execute("""
        local op = require("bartizan.waf.operators").new({
            name = "rx", argument = { "^", { name = "TX", key = "x" } } })
        function attack(count, filler)
            for i = 1, count do
                assert(op.check(op, "x", "x|" .. i .. filler) == true)
            end
        end
    """)
    lua.execute("attack(100, ('y'):rep(100)) attack(10, ('y'):rep(20000))")
    before_lua, before = lua.memory(), resident_bytes()
    lua.execute("attack(2000, ('y'):rep(100)) attack(500, ('y'):rep(20000))")
    assert lua.memory() - before_lua < MEBIBYTE // 4
    assert resident_bytes() - before < 16 * MEBIBYTE


def test_a_pattern_of_macros_with_a_mistake_is_no_match(lua: Lua) -> None:
    operators = lua.require("bartizan.waf.operators")
    op = operators.new(lua.table({"name": "rx", "argument": [{"name": "TX", "key": "x"}]}))
    assert op.check(op, "a(", "a(") == (None, "missing closing parenthesis at byte 2 of the pattern")
    assert op.check(op, "a(", r"a\(") == (True, "a(")
