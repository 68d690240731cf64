--- URL encoding (RFC 3986 section 2.1, and + for a space as HTML forms have it): to and fro.

local bit = require("bit")
local buffer = require("bartizan.waf.transformations.buffer")
local byte_of = require("bartizan.waf.transformations.codepage").byte_of
local classes = require("bartizan.waf.classes")
local digits = require("bartizan.waf.transformations.digits")
local ffi = require("ffi")

local band = bit.band
local bor = bit.bor
local bxor = bit.bxor
local cast = ffi.cast
local ffi_new = ffi.new
local ffi_string = ffi.string
local HEX = digits.HEX
local LETTER = digits.LETTER
local room = buffer.room
local rshift = bit.rshift

local bytes_of = ffi.typeof("const uint8_t *")
local SPACE, PERCENT, STAR, PLUS, SMALL_U = 0x20, 0x25, 0x2A, 0x2B, 0x75
local TO_SMALL = 0x20

-- Behind every Lua string there is a NUL, which is no digit: nothing is read behind it.

local function decode(s)
    local length = #s
    local out = room(length)
    local bytes = cast(bytes_of, s)
    local i, n = 0, 0
    while i < length do
        local b = bytes[i]
        i = i + 1
        if b == PLUS then
            b = SPACE
        elseif b == PERCENT then
            local high = HEX[bytes[i]]
            if high >= 0 then
                local low = HEX[bytes[i + 1]]
                if low >= 0 then
                    b = 16 * high + low
                    i = i + 2
                end
            end
        end
        out[n] = b
        n = n + 1
    end
    return ffi_string(out, n)
end

-- The code point of four digits, or -1.
local function code_point(bytes, i)
    local code = 0
    for k = i, i + 3 do
        local digit = HEX[bytes[k]]
        if digit < 0 then
            return -1
        end
        code = 16 * code + digit
    end
    return code
end

local function decode_uni(s)
    local length = #s
    local out = room(length)
    local bytes = cast(bytes_of, s)
    local i, n = 0, 0
    while i < length do
        local b = bytes[i]
        i = i + 1
        if b == PLUS then
            b = SPACE
        elseif b == PERCENT then
            local high = HEX[bytes[i]]
            if high >= 0 then
                local low = HEX[bytes[i + 1]]
                if low >= 0 then
                    b = 16 * high + low
                    i = i + 2
                end
            elseif bor(bytes[i], TO_SMALL) == SMALL_U then
                local code = code_point(bytes, i + 1)
                if code >= 0 then
                    b = byte_of(code)
                    i = i + 5
                end
            end
        end
        out[n] = b
        n = n + 1
    end
    return ffi_string(out, n)
end

local PLAIN = ffi_new("uint8_t[256]")
for b = 0, 255 do
    local letter = bor(b, TO_SMALL)
    local word = b >= 0x30 and b <= 0x39 or letter >= 0x61 and letter <= 0x7A
    PLAIN[b] = (word or b == STAR) and 1 or 0
end

local function encode(s)
    local out = room(3 * #s)
    local bytes = cast(bytes_of, s)
    local n = 0
    for i = 0, #s - 1 do
        local b = bytes[i]
        if PLAIN[b] == 1 then
            out[n] = b
            n = n + 1
        elseif b == SPACE then
            out[n] = PLUS
            n = n + 1
        else
            out[n] = PERCENT
            out[n + 1] = LETTER[rshift(b, 4)]
            out[n + 2] = LETTER[band(b, 15)]
            n = n + 3
        end
    end
    return ffi_string(out, n)
end

return {
    -- Description: decodes %HH, and + into a space.
    -- Example: "%3Cscript%3E+" gives "<script> ".
    -- An encoding without two hexadecimal digits stays as it is.
    urlDecode = { changes = classes.ENCODED, apply = decode },

    -- Description: like urlDecode, and decodes the %uHHHH of Microsoft's servers.
    -- Example: "%u003Cscript%uff1e" gives "<script>".
    -- A code becomes the byte that code page 20127 (US-ASCII) maps it to. Of those that it does not
    -- map, full-width ASCII becomes ASCII, of any other the low byte counts.
    urlDecodeUni = { changes = classes.ENCODED, apply = decode_uni },

    -- Description: encodes all but digits, letters and *; a space becomes +.
    -- Example: "a b-c" gives "a+b%2dc".
    urlEncode = {
        changes = bxor(classes.ALL, bor(classes.ANY, classes.DIGIT, classes.UPPER, classes.LOWER,
                                        classes.X, classes.STAR)),
        apply = encode,
    },
}
