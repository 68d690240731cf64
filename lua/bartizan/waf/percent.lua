--- Percent-decoding as a request's readers do it: once, and never failing.
--
-- A % that two hex digits don't follow stays as it is, and is told of. %uXXXX, of which only
-- Microsoft's servers know, is the business of the transformation urlDecodeUni.
--
--     percent.decode(bytes, 0, 9, true)        "a b%zz", true       of a+%62%zz

local buffer = require("bartizan.waf.transformations.buffer")
local digits = require("bartizan.waf.transformations.digits")
local ffi = require("ffi")

local HEX = digits.HEX
local ffi_string = ffi.string
local room = buffer.room

local _M = {}

local PERCENT, PLUS, SPACE = 0x25, 0x2B, 0x20

--- Decodes a piece of a text in memory.
-- @param bytes cdata: const uint8_t *, which the caller keeps alive
-- @param from number: where the piece begins, from 0 on
-- @param to number: where it ends: the position after its last byte
-- @param plus boolean: whether + stands for a space, as it does in forms and queries
-- @return string, boolean: the bytes, and whether there was a % without two hex digits
function _M.decode(bytes, from, to, plus)
    -- Decoded text is never longer than what it came from.
    local out = room(to - from)
    local n, malformed = 0, false
    local i = from
    while i < to do
        local b = bytes[i]
        i = i + 1
        if b == PERCENT then
            -- Both digits are in the piece.
            local high, low = -1, -1
            if i + 1 < to then
                high, low = HEX[bytes[i]], HEX[bytes[i + 1]]
            end
            if high >= 0 and low >= 0 then
                b = high * 16 + low
                i = i + 2
            else
                malformed = true
            end
        elseif plus and b == PLUS then
            b = SPACE
        end
        out[n] = b
        n = n + 1
    end
    return ffi_string(out, n), malformed
end

return _M
