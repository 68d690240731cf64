--- UTF-8 as RFC 3629 has it: one sequence checked, one character written.
--
-- Lua 5.1 has no utf8 library. Callers walk their text byte by byte anyway and come here only for
-- bytes from 0x80 on.

local ffi = require("ffi")

local cast = ffi.cast
local char = string.char

local _M = {}

local bytes_of = ffi.typeof("const uint8_t *")

--- Steps over one sequence of two to four bytes in memory.
-- RFC 3629 section 4: no overlong forms, no surrogates (U+D800 to U+DFFF), nothing above U+10FFFF.
-- @param bytes cdata: const uint8_t *; behind the text there is a zero byte, where a step ends
-- @param pos number: where the sequence begins, from 0 on
-- @param first number: the byte there, 0x80 or more
-- @return number: the position after the sequence
-- @return nil: the bytes are not UTF-8
local function step(bytes, pos, first)
    local low, high = 0x80, 0xBF
    local tail
    if first >= 0xC2 and first <= 0xDF then
        tail = 1
    elseif first >= 0xE0 and first <= 0xEF then
        tail = 2
        if first == 0xE0 then
            low = 0xA0
        elseif first == 0xED then
            high = 0x9F
        end
    elseif first >= 0xF0 and first <= 0xF4 then
        tail = 3
        if first == 0xF0 then
            low = 0x90
        elseif first == 0xF4 then
            high = 0x8F
        end
    else
        return nil
    end
    for i = 1, tail do
        local b = bytes[pos + i]
        if b < low or b > high then
            return nil
        end
        low, high = 0x80, 0xBF
    end
    return pos + tail + 1
end
_M.step = step

--- The same in a string, whose positions begin with 1.
function _M.skip(text, pos, first)
    local after = step(cast(bytes_of, text), pos - 1, first)
    return after and after + 1
end

--- Writes one character.
-- @param code number: a code point from 0 to 0x10FFFF that is no surrogate
-- @return string: one to four bytes
function _M.encode(code)
    if code < 0x80 then
        return char(code)
    elseif code < 0x800 then
        return char(0xC0 + (code - code % 64) / 64, 0x80 + code % 64)
    end
    local last, rest = code % 64, code % 4096
    if code < 0x10000 then
        return char(0xE0 + (code - rest) / 4096, 0x80 + (rest - last) / 64, 0x80 + last)
    end
    local rest3 = code % 262144
    return char(0xF0 + (code - rest3) / 262144, 0x80 + (rest3 - rest) / 4096,
                0x80 + (rest - last) / 64, 0x80 + last)
end

return _M
