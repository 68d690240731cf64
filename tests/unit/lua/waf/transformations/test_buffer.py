"""lua/bartizan/waf/transformations/buffer.lua: room for any length, and nothing written behind it."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import example, given

from tests.support.lua import Lua
from tests.support.transformations import TEXTS, transformation

ROOM: Final = """
local ffi = require("ffi")
local room = require("bartizan.waf.transformations.buffer").room
for _, length in ipairs({ 0, 1, 4095, 4096, 4097, 4104, 8192, 8193, 8201, 20000, 50000, 1048575, 1048576,
                          1048577, 5000000, 1048576, 1048577, 1 }) do
    local buffer = room(length)
    assert(ffi.sizeof(buffer) >= length, length)
    ffi.fill(buffer, length, 1)
end
"""

# Each transformation is given exactly what it asks for, and bytes behind it that must stay.
GUARDED: Final = """
local ffi = require("ffi")
local buffer = require("bartizan.waf.transformations.buffer")
local GUARD, BYTE = 64, 0xA5
local last, asked
function buffer.room(length)
    asked = math.floor(length)
    last = ffi.new("uint8_t[?]", asked + GUARD)
    ffi.fill(last, asked + GUARD, BYTE)
    return last
end
local transformations = require("bartizan.waf.transformations")
return function(text)
    local guarded = 0
    for name, transformation in pairs(transformations) do
        if type(transformation) == "table" then
            last = nil
            transformation.apply(text)
            if last then
                guarded = guarded + 1
                for i = asked, asked + GUARD - 1 do
                    assert(last[i] == BYTE, name .. " writes behind its buffer")
                end
            end
        end
    end
    return guarded
end
"""


def test_there_is_as_much_room_as_asked_for() -> None:
    Lua().execute(ROOM)


@pytest.fixture(scope="module")
def guarded() -> Any:
    return Lua(encoding="latin-1").execute(GUARDED)


@given(text=TEXTS)
@example(text=b"")
@example(text=b"/*")
@example(text=b"a/")
@example(text=b"..")
@example(text=b"\xc0\x80" * 9)
@example(text=b"\xff" * 9)
@example(text=b"\xf4\xbf\xbf\xbf")
def test_none_writes_behind_the_room_it_asked_for(guarded: Any, text: bytes) -> None:
    # All but length, md5, sha1, none and the three that trim.
    assert guarded(text.decode("latin-1")) == 31


@pytest.mark.parametrize("length", [4095, 4096, 4097, 8193, 349525, 349526, 1048576, 1048577])
def test_texts_of_any_length_are_whole(length: int) -> None:
    text = b"<" * length
    assert transformation("urlEncode")(text) == b"%3c" * length
    assert transformation("hexDecode")(transformation("hexEncode")(text)) == text
    assert transformation("base64Decode")(transformation("base64Encode")(text)) == text


def test_a_huge_text_weighs_on_nothing_after_it() -> None:
    runtime = Lua(encoding="latin-1")
    runtime.execute("apply = require('bartizan.waf.transformations').urlEncode.apply; apply('a ')")
    before = runtime.memory()
    runtime.execute("assert(#apply(...) == 24000000)", "<" * 8_000_000)
    assert runtime.memory() - before < 1 << 20
