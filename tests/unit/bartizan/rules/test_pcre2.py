"""Whether PCRE2 takes a regular expression."""

import pytest

from bartizan.errors import BartizanError
from bartizan.rules import pcre2
from bartizan.rules.pcre2 import wrong_with


@pytest.mark.parametrize("pattern", ["", "a", "(?i)a++b(?>c|d)", "(?<!a)\\b\\x5c\\h", "é", "a\0b", "^a$"])
def test_what_it_takes(pattern: str) -> None:
    assert wrong_with(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing closing parenthesis, after '('"),
        ("*a", "quantifier does not follow a repeatable item"),
        ("[b-a]", "range out of order in character class"),
        ("a\0(", "missing closing parenthesis, after 'a\\x00('"),
    ],
)
def test_what_it_does_not_take(pattern: str, why: str) -> None:
    assert (wrong_with(pattern) or "").startswith(why)


def test_a_library_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcre2, "LIBRARY", "libnone.so.0")
    pcre2._library.cache_clear()
    try:
        with pytest.raises(BartizanError, match=r"libnone\.so\.0 is missing"):
            wrong_with("a")
    finally:
        pcre2._library.cache_clear()
