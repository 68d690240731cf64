"""Regular expressions taken apart: what comes of it matches what the whole matches, or more."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.rules import regex_parts
from bartizan.rules.regex import NotUnderstoodError, parse

WRITTEN = [
    "", "a", "a|b|", "(?i)a(?:b|c)+d", r"^\s*(?:x|y{2,3}?)z*+$", r"[^\]a-z[:digit:]]?|\x{bc}\x41\.",
    "(?>a|b)c", r"(?P<name>a)(b)(?<other>c)", r"(?<!x)a(?!b)(?=c)\b", r"[]a]|[^]b]", "(?i:a|b)c", r"\/\-\_\ ",
    "a{2}b{3,}", "a{,2}", "x(?:(?:a|b)?c|d)*",
]  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_it_is_written_as_it_was_read(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["(", "a)", "(a", r"(a)\1", r"\Qa.b\E", "(?#note)a", "a(?i)b", "(?R)", r"\p{L}", r"\Ka", "(?x: a)", "[a"],
)
def test_what_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(NotUnderstoodError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("(?<!x)a(?!b)c", "ac"),
        ("a++(?>b|c)?+d*", "a+(?:b|c)?d*"),
        ("(?:(?=x)a|b)", "(?:a|b)"),
    ],
)
def test_what_hyperscan_does_not_have_goes(text: str, left: str) -> None:
    assert str(regex_parts.weakened(parse(text))) == left


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("a|b|c|d", "a|b", "c|d"),
        ("x(?:a|b)y", "x(?:a)y", "x(?:b)y"),
        ("x(?:aa|bb)?y", "xy", "x(?:aa|bb)y"),
        ("(a|b)(?:ccc|ddd)", "(a|b)(?:ccc)", "(a|b)(?:ddd)"),
    ],
)
def test_halves(text: str, first: str, second: str) -> None:
    halves = regex_parts.halves(parse(text))
    assert halves is not None
    assert [str(half) for half in halves] == [first, second]


@pytest.mark.parametrize("text", ["abc", "(?:a|b)*c", "(?=a|b)c", "(?>a|b)c"])
def test_what_has_no_halves(text: str) -> None:
    assert regex_parts.halves(parse(text)) is None


def test_a_pattern_is_cut_after_the_large_alternatives_of_its_first_group() -> None:
    parsed = parse("(?:^|;|busybox)[ ]*(?:cat|dog|cow)")
    cut = regex_parts.cut(parsed, large=4, light=2)
    assert cut is not None
    assert str(cut) == "(?:busybox)|(?:^)[ ]*(?:cat|dog|cow)|(?:;)[ ]*(?:cat|dog|cow)"
    assert regex_parts.cut(parse("(?:^|;)(?:cat|dog)"), large=4, light=2) is None


PLAIN = frozenset(b"abc 019")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("abc", "abc"),
        ("a;b", None),
        ("a|;|b", "a|b"),
        ("a;?b;*c", "abc"),
        ("a;+b", None),
        ("(?:x|a)b", "(?:a)b"),
        ("(?:x|y)b", None),
        ("(?:x|y)?b", "b"),
        ("A", "A"),
        (r"[;\s]a", r"[;\s]a"),
        (r"[^a-z0-9 ]a", None),
        (r"[[:punct:]]a", "[[:punct:]]a"),
        (r"\x{3b}a", r"\x{3b}a"),
        (r"\ba\z", r"\ba\z"),
        ("é", "é"),
    ],
)
def test_what_can_match_values_of_some_bytes(text: str, left: str | None) -> None:
    restricted = regex_parts.restricted(parse(text), PLAIN)
    assert (restricted and str(restricted)) == left


def _patterns() -> st.SearchStrategy[str]:
    atoms = st.sampled_from(["a", "b", ";", "[ab]", "[^a]", r"\d", ".", "x"])
    quantified = st.builds(str.__add__, atoms, st.sampled_from(["", "", "?", "*", "+", "{2}", "{0,1}"]))

    def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        branches = st.lists(inner, min_size=1, max_size=3).map("|".join)
        group = st.builds(
            "({}{}){}".format, st.sampled_from(["", "?:"]), branches, st.sampled_from(["", "?", "*"])
        )
        return st.lists(st.one_of(group, quantified), min_size=1, max_size=3).map("".join)

    whole = st.recursive(quantified, deeper, max_leaves=8)
    return st.lists(whole, min_size=1, max_size=3).map("|".join)


TEXTS = st.text(alphabet="ab;x0 ", max_size=8)


@given(_patterns(), TEXTS)
def test_halves_match_together_what_the_whole_matches(text: str, value: str) -> None:
    halves = regex_parts.halves(parse(text))
    if halves is not None:
        assert bool(re.search(text, value)) == any(re.search(str(half), value) for half in halves)


@given(_patterns(), TEXTS, st.integers(1, 4), st.integers(1, 3))
def test_what_is_cut_matches_whatever_the_whole_matches(
    text: str, value: str, large: int, light: int
) -> None:
    cut = regex_parts.cut(parse(text), large, light)
    if cut is not None and re.search(text, value):
        assert re.search(str(cut), value)


@given(_patterns(), st.text(alphabet="ab0 ", max_size=8))
def test_what_is_restricted_matches_the_same_in_such_values(text: str, value: str) -> None:
    restricted = regex_parts.restricted(parse(text), frozenset(b"ab0 "))
    matches = restricted is not None and re.search(str(restricted), value) is not None
    assert matches == bool(re.search(text, value))


@given(_patterns(), TEXTS, st.integers(1, 2))
def test_a_captured_text_in_its_groups_place_matches(text: str, value: str, capture: int) -> None:
    match = re.search(text, value)
    if match is not None and match.re.groups >= capture and match[capture] is not None:
        made = regex_parts.with_capture(parse(text), capture, match[capture])
        assert made is None or re.search(str(made), value)


@given(_patterns(), TEXTS)
def test_a_whole_match_in_the_patterns_place_matches(text: str, value: str) -> None:
    if (match := re.search(f"^(?:{text})$", value)) is not None:
        made = regex_parts.with_whole(parse(f"^(?:{text})$"), match[0])
        assert made is not None
        assert re.search(str(made), value)
