"""Values go into nginx.conf as values, or not at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.render.writing import Bare, RenderError, duration, finalize, lua_string, quoted, word, words
from tests.support.lua import Lua
from tests.support.nginx_syntax import read

HOSTILE = [
    "a; evil on",
    'a"; evil on; #',
    "a\\",
    'a\\"; evil on; "',
    "a } evil {",
    "a # b",
    "a\\n",
    "'",
    " ",
    "",
    "ü€😀",
    "\\\\\\",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_quoted_value_is_one_word(value: str) -> None:
    root = read(f"name {quoted(value)} end;")
    assert [directive.words for directive in root.block] == [["name", value, "end"]]


@given(st.text())
def test_any_value_is_one_word_or_refused(value: str) -> None:
    try:
        written = quoted(value)
    except RenderError:
        assert "$" in value or not value.isprintable()
        return
    root = read(f"name {written};")
    assert [directive.words for directive in root.block] == [["name", value]]


@pytest.mark.parametrize("value", ["a$b", "${a}", "a\nb", "a\rb", "a\tb", "a\x00b", "a\x7fb", "\u2028"])
def test_what_nginx_has_no_way_to_write_is_refused(value: str) -> None:
    with pytest.raises(RenderError):
        quoted(value)


@pytest.mark.parametrize("value", ["data", "a-b_c", "/metrics", "2001:db8::/32", "c12", "127.0.0.1:80"])
def test_words(value: str) -> None:
    assert word(value) == value


@pytest.mark.parametrize("value", ["", "a b", "a;", "a{", "$a", '"a"', "a\n", "ä", "a#b", "a\\"])
def test_what_is_no_word_is_refused(value: str) -> None:
    with pytest.raises(RenderError):
        word(value)
    with pytest.raises(RenderError):
        words(("ssl", value))


def test_several_words() -> None:
    assert words(("ssl", "http2")) == " ssl http2"
    assert words(()) == ""


@pytest.mark.parametrize(
    ("seconds", "written"), [(2.0, "2000ms"), (0.01, "10ms"), (86400.0, "86400000ms"), (0.0001, "1ms")]
)
def test_durations(seconds: float, written: str) -> None:
    assert duration(seconds) == written


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua()


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_a_lua_string_is_what_it_was_and_ends_no_block(lua: Lua, value: str) -> None:
    written = lua_string(value)
    assert lua.execute(f"return {written}") == value
    root = read(f"init_by_lua_block {{ f({written}) }} after;")
    assert [directive.words[0] for directive in root.block] == ["init_by_lua_block", "after"]
    assert root.block[0].lua.strip() == f"f({written})"


def test_every_expression_is_quoted_unless_found_fit() -> None:
    assert finalize("a b") == '"a b"'
    assert finalize(Bare("a b")) == "a b"
    assert finalize(5) == "5"


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"], {"a": 1}, b"a"])
def test_what_is_neither_text_nor_number_is_a_slip(value: Any) -> None:
    with pytest.raises(TypeError):
        finalize(value)
