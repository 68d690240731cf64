"""lua/bartizan/waf/libinjection.lua: its first look never spares what the library knows as an attack."""

from __future__ import annotations

import ctypes
import re
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.libmodsecurity import LIBRARY
from tests.support.lua import Lua

LUA: Final = Lua(encoding="latin-1")
LIBINJECTION: Final[Any] = LUA.require("bartizan.waf.libinjection")


@cache
def library() -> ctypes.CDLL:
    return ctypes.CDLL(LIBRARY)


def is_sqli(value: bytes) -> bytes | None:
    """Ask the library itself, and return the fingerprint."""
    fingerprint = ctypes.create_string_buffer(8)
    found = library().libinjection_sqli(value, ctypes.c_size_t(len(value)), fingerprint)
    return fingerprint.value if found else None


def is_xss(value: bytes) -> bool:
    return bool(library().libinjection_xss(value, ctypes.c_size_t(len(value))))


def is_harmless_sql(value: bytes) -> bool:
    return bool(LIBINJECTION.is_harmless_sql(value.decode("latin-1")))


def is_harmless_html(value: bytes) -> bool:
    return bool(LIBINJECTION.is_harmless_html(value.decode("latin-1")))


@cache
def words() -> list[bytes]:
    """Return the words that libinjection knows, as they stand in the library: between zero bytes."""
    library()
    loaded = re.search(rf"/\S*{LIBRARY}\S*", Path("/proc/self/maps").read_text(encoding="utf-8"))
    assert loaded is not None
    texts = re.findall(rb"(?<=\0)[A-Z][A-Z0-9_]{1,30}(?=\0)", Path(loaded[0]).read_bytes())
    # A word that another one ends with has no place of its own: SLEEP is the end of PG_SLEEP.
    ends = [text[match.end() :] for text in texts for match in re.finditer(rb"_(?=[A-Z])", text)]
    found = sorted({*texts, *ends})
    assert {b"SELECT", b"UNION", b"LIMIT", b"HAVING", b"CURRENT_USER", b"SLEEP", b"BINARY_FLOAT_NAN"} <= {
        *found
    }
    return found


@pytest.mark.parametrize(
    "value",
    [b"", b"a", b"O_o", b"select", b"SELECT.UNION", b"www.example.com", b"user_1.name", b"a.", b"2024-01-15",
     b"-1", b"127.0.0.1", b"1.5", b"0123456789", b".5", b"-", b"..."],
)  # fmt: skip
def test_ordinary_values_are_spared(value: bytes) -> None:
    assert is_harmless_sql(value)
    assert is_sqli(value) is None


@pytest.mark.parametrize(
    "value",
    [
        b"1--",
        b"1--a",
        b"1 or 1=1",
        b"LIMIT.1d",
        b"1eHAVING.1eITERATE.0b1",
        b"1or",
        b"a-b",
        b"a b",
        b"a'",
        b"1,2",
        b"\0",
        b"a\0",
    ],
)
def test_what_could_be_more_than_one_token_is_asked(value: bytes) -> None:
    assert not is_harmless_sql(value)


def test_each_word_that_it_knows_is_harmless_alone() -> None:
    alone = [word + tail for word in words() for tail in (b"", b".", b"1", b"_")]
    assert [word for word in alone if not is_harmless_sql(word)] == []
    assert [word for word in alone if is_sqli(word)] == []


def test_all_short_numbers() -> None:
    numbers = [bytes(made) for length in range(10) for made in product(b"1-.", repeat=length)]
    spared = [number for number in numbers if is_harmless_sql(number)]
    assert len(spared) > 10_000
    assert [number for number in spared if is_sqli(number)] == []
    # And it is no more careful than it must be: what it does not spare has a comment.
    assert all(b"--" in number for number in {*numbers} - {*spared})


PARTS: Final = st.one_of(
    st.sampled_from(words()),
    st.sampled_from(
        [b"1", b"1e", b"1e1", b"0x1", b"0b1", b"1d", b"1f", b"x1", b"e", b"n", b"q", b"u", b"_", b"a"]
    ),
)
JOINTS: Final = st.sampled_from([b"", b".", b"-", b"_", b"1", b" ", b"--", b",", b"@", b"\0"])


@settings(max_examples=300)
@given(st.lists(st.tuples(JOINTS, PARTS), max_size=9), JOINTS)
def test_nothing_that_is_spared_is_sql_injection(pairs: list[tuple[bytes, bytes]], end: bytes) -> None:
    value = b"".join(joint + part for joint, part in pairs) + end
    if is_harmless_sql(value):
        assert is_sqli(value) is None


DOTTED: Final = st.one_of(
    st.sampled_from(words()), st.from_regex(rb"[A-Za-z_][A-Za-z0-9_]{0,4}", fullmatch=True)
)


@settings(max_examples=300)
@given(st.lists(DOTTED, min_size=1, max_size=9).map(b".".join))
def test_no_words_with_dots_are_sql_injection(value: bytes) -> None:
    assert is_harmless_sql(value)
    assert is_sqli(value) is None


MARKUP: Final = b"""
    onload onerror style href src xmlns javascript: script svg !-- !doctype ?import &#60;
    < = > / ' " ` x --> ]]>
"""
HTML: Final = st.sampled_from([*MARKUP.split(), b" ", b"\t", b"\n", b"\x0b", b"\0"])


@settings(max_examples=300)
@given(st.one_of(st.lists(HTML, max_size=12).map(b"".join), st.binary(max_size=30)))
def test_nothing_that_is_spared_is_cross_site_scripting(value: bytes) -> None:
    assert is_harmless_html(value) == (b"<" not in value and b"=" not in value)
    if is_harmless_html(value):
        assert not is_xss(value)


@settings(max_examples=300)
@given(st.lists(HTML.filter(lambda part: part not in {b"<", b"="}), max_size=14).map(b"".join))
def test_there_is_no_cross_site_scripting_without_a_tag_or_a_value(value: bytes) -> None:
    assert is_harmless_html(value)
    assert not is_xss(value)


@given(
    st.one_of(
        st.binary(max_size=30),
        st.lists(st.tuples(JOINTS, PARTS), max_size=5).map(lambda p: b"".join(map(b"".join, p))),
    )
)
def test_the_rest_is_the_librarys(value: bytes) -> None:
    assert LIBINJECTION.load() is True
    text, fingerprint = value.decode("latin-1"), is_sqli(value)
    assert LIBINJECTION.sqli(text) == (False if fingerprint is None else fingerprint.decode("latin-1"))
    assert LIBINJECTION.xss(text) is is_xss(value)
