"""lua/bartizan/jose/base64url.lua: one text for each sequence of bytes, and no other is taken."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.forgeries import b64url
from tests.support.lua import Lua

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@cache
def _lua() -> Lua:
    return Lua(encoding="latin-1")


@pytest.fixture(scope="module")
def decode() -> Callable[[bytes], bytes | None]:
    """Decode, and check that a refusal gives a reason."""
    module = _lua().require("bartizan.jose.base64url")

    def decode(text: bytes) -> bytes | None:
        result: Any = module.decode(text)
        if isinstance(result, tuple):
            assert result[0] is None
            assert result[1]
            return None
        return str(result).encode("latin-1")

    return decode


@given(data=st.binary(max_size=100))
def test_what_was_encoded_comes_back(decode: Callable[[bytes], bytes | None], data: bytes) -> None:
    assert decode(b64url(data).encode()) == data


@given(text=st.text(ALPHABET, max_size=12))
def test_exactly_the_canonical_texts_are_taken(decode: Callable[[bytes], bytes | None], text: str) -> None:
    """A text is taken if, and only if, encoding what it means gives it back."""
    try:
        meant = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        meant = None
    expected = meant if meant is not None and b64url(meant) == text else None
    assert decode(text.encode()) == expected


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("length", [2, 3, 4, 6, 7, 8])
def test_no_byte_outside_the_alphabet_is_taken(
    decode: Callable[[bytes], bytes | None], length: int, at: int
) -> None:
    if at >= length:
        at = length - 1
    for byte in range(256):
        text = bytearray(b"A" * length)
        text[at] = byte
        if chr(byte) not in ALPHABET:
            assert decode(bytes(text)) is None


@pytest.mark.parametrize("size", [0, 1, 2, 3, 6143, 6144, 6145, 8192, 100_000])
def test_sizes_around_the_scratch_buffer(decode: Callable[[bytes], bytes | None], size: int) -> None:
    data = bytes(i * 7 % 256 for i in range(size))
    assert decode(b64url(data).encode()) == data


@given(
    before=st.binary(max_size=5),
    data=st.binary(max_size=40),
    after=st.binary(max_size=5),
)
def test_a_piece_in_the_middle_of_a_text(before: bytes, data: bytes, after: bytes) -> None:
    """Nothing before or behind the piece is read, and no byte behind the room is written."""
    lua = _lua()
    decoded, canary = lua.execute(
        """
        local ffi = require("ffi")
        local base64url = require("bartizan.jose.base64url")
        local text, from, length = ...
        local room = base64url.room(length)
        local out = ffi.new("uint8_t[?]", room + 1)
        out[room] = 0xA5
        local n = assert(base64url.decode_to(out, text, from, length))
        return ffi.string(out, n), out[room]
        """,
        before + b64url(data).encode() + after,
        len(before),
        len(b64url(data)),
    )
    assert decoded.encode("latin-1") == data
    assert canary == 0xA5
