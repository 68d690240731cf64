"""lua/bartizan/waf/classes.lua: the mask of a text is that of its bytes."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

MEMBERS: Final = {
    "NUL": "\0",
    "SPACE": " ",
    "BLANK": "\t\n\v\f\r",
    "NBSP": "\xa0",
    "HIGH": "".join(map(chr, range(0x80, 0x100))),
    "UPPER": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "LOWER": "abcdefghijklmnopqrstuvwxyz",
    "DIGIT": "0123456789",
    "X": "xX",
    "ENCODED": "%+",
    "AMPERSAND": "&",
    "BACKSLASH": "\\",
    "SLASH": "/",
    "STAR": "*",
    "REMARK": "-#",
    "COMMAND": "\"'^,;",
    "SPECIAL": "".join(chr(b) for b in range(0x80) if not chr(b).isalnum() and chr(b) not in " _.,@:+!?-"),
}


@cache
def classes() -> Any:
    return Lua(encoding="latin-1").require("bartizan.waf.classes")


def names(text: str) -> set[str]:
    mask = classes().of(text)
    assert mask > 0
    return {
        name for name, bits in classes().items() if isinstance(bits, int) and name != "ALL" and mask & bits
    }


@pytest.mark.parametrize("byte", range(256))
def test_each_byte_has_its_classes(byte: int) -> None:
    expected = {name for name, members in MEMBERS.items() if chr(byte) in members}
    if expected <= {"SPECIAL"}:
        expected |= {"OTHER"}
    dot = {"DOT"} if byte == ord(".") else set()
    assert names(chr(byte)) == expected | dot | {"ANY"}
    assert names(chr(byte) * 2) == expected | {"ANY"}


def test_the_empty_text_has_one_class() -> None:
    assert names("") == {"ANY"}


def test_each_class_is_one_bit_and_all_are_all() -> None:
    bits = [value for name, value in classes().items() if isinstance(value, int) and name != "ALL"]
    assert all(value.bit_count() == 1 for value in bits)
    assert sum(bits) == classes().ALL < 1 << 31


@given(text=st.binary(max_size=40), more=st.binary(max_size=40))
def test_the_mask_of_two_texts_is_both_masks(text: bytes, more: bytes) -> None:
    of = classes().of
    first, second = text.decode("latin-1"), more.decode("latin-1")
    dot = classes().DOT
    assert of(first + second) & ~dot == (of(first) | of(second)) & ~dot
