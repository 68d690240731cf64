--- Transformations that decode what stands behind a backslash: in C, in JavaScript, in CSS.

local bit = require("bit")
local buffer = require("bartizan.waf.transformations.buffer")
local classes = require("bartizan.waf.classes")
local digits = require("bartizan.waf.transformations.digits")
local ffi = require("ffi")

local band = bit.band
local byte = string.byte
local cast = ffi.cast
local ffi_new = ffi.new
local ffi_string = ffi.string
local HEX = digits.HEX
local OCTAL = digits.OCTAL
local room = buffer.room

local bytes_of = ffi.typeof("const uint8_t *")
local BACKSLASH, LF, BIG_X, SMALL_U, SMALL_X = 0x5C, 0x0A, 0x58, 0x75, 0x78

-- What a letter behind a backslash stands for; any other byte for itself.
local NAMED = ffi_new("uint8_t[256]")
for b = 0, 255 do
    NAMED[b] = b
end
for letter, control in pairs({ a = 7, b = 8, t = 9, n = 10, v = 11, f = 12, r = 13 }) do
    NAMED[byte(letter)] = control
end

local WHITE = ffi_new("uint8_t[256]")
for _, b in ipairs({ 0x20, 9, 10, 11, 12, 13 }) do
    WHITE[b] = 1
end

-- The byte that a code point is taken for: its low one, and ASCII for its full-width forms.
local function byte_of(code)
    local low = band(code, 0xFF)
    if code >= 0xFF01 and code <= 0xFF5E then
        return low + 0x20
    end
    return low
end

-- Behind every Lua string there is a NUL, which is no digit: nothing is read behind it.

-- The value of `count` hexadecimal digits, or -1 where there are not so many.
local function hex(bytes, i, count)
    local value = 0
    for k = i, i + count - 1 do
        local digit = HEX[bytes[k]]
        if digit < 0 then
            return -1
        end
        value = 16 * value + digit
    end
    return value
end

-- Up to three octal digits, of which the first is at i: their value and how many there are.
local function octal(bytes, i, at_most)
    local value, count = OCTAL[bytes[i]], 1
    while count < at_most do
        local digit = OCTAL[bytes[i + count]]
        if digit < 0 then
            break
        end
        value = 8 * value + digit
        count = count + 1
    end
    return value, count
end

local function decode_c(s)
    local length = #s
    local out = room(length)
    local bytes = cast(bytes_of, s)
    local i, n = 0, 0
    while i < length do
        local b = bytes[i]
        i = i + 1
        if b == BACKSLASH and i < length then
            local c = bytes[i]
            if c == SMALL_X or c == BIG_X then
                local value = hex(bytes, i + 1, 2)
                if value >= 0 then
                    b = value
                    i = i + 3
                else
                    b = c
                    i = i + 1
                end
            elseif OCTAL[c] >= 0 then
                local value, count = octal(bytes, i, 3)
                b = band(value, 0xFF)
                i = i + count
            else
                b = NAMED[c]
                i = i + 1
            end
        end
        out[n] = b
        n = n + 1
    end
    return ffi_string(out, n)
end

local function decode_js(s)
    local length = #s
    local out = room(length)
    local bytes = cast(bytes_of, s)
    local i, n = 0, 0
    while i < length do
        local b = bytes[i]
        i = i + 1
        if b == BACKSLASH and i < length then
            local c = bytes[i]
            if OCTAL[c] >= 0 then
                -- ECMA-262 B.1.2: three digits only where they make a byte.
                local value, count = octal(bytes, i, OCTAL[c] <= 3 and 3 or 2)
                b = value
                i = i + count
            else
                local wide = c == SMALL_U and 4 or c == SMALL_X and 2 or 0
                local value = wide > 0 and hex(bytes, i + 1, wide) or -1
                if value >= 0 then
                    b = byte_of(value)
                    i = i + 1 + wide
                else
                    b = NAMED[c]
                    i = i + 1
                end
            end
        end
        out[n] = b
        n = n + 1
    end
    return ffi_string(out, n)
end

local function decode_css(s)
    local length = #s
    local out = room(length)
    local bytes = cast(bytes_of, s)
    local i, n = 0, 0
    while i < length do
        local b = bytes[i]
        i = i + 1
        if b ~= BACKSLASH then
            out[n] = b
            n = n + 1
        elseif i < length then
            local c = bytes[i]
            if HEX[c] >= 0 then
                local code, count = HEX[c], 1
                while count < 6 do
                    local digit = HEX[bytes[i + count]]
                    if digit < 0 then
                        break
                    end
                    code = 16 * code + digit
                    count = count + 1
                end
                out[n] = byte_of(code)
                n = n + 1
                i = i + count
                -- One white space ends the number and is part of the escape.
                if i < length and WHITE[bytes[i]] == 1 then
                    i = i + 1
                end
            else
                i = i + 1
                if c ~= LF then
                    out[n] = c
                    n = n + 1
                end
            end
        end
    end
    return ffi_string(out, n)
end

return {
    -- Description: decodes the escapes of ANSI C: \a \b \f \n \r \t \v \\ \? \' \", \xHH, \OOO.
    -- Example: "\x41\102\n" gives "AB" and a line end.
    -- An escape that is none of these stays without its backslash, which is how shells and
    -- ModSecurity take it; a backslash at the end stays. An octal number above 377 counts by its
    -- low byte.
    escapeSeqDecode = { changes = classes.BACKSLASH, apply = decode_c },

    -- Description: decodes the escapes of JavaScript: \uHHHH, \xHH, \OOO and \C.
    -- Example: "\u0061lert" gives "alert".
    -- Full-width ASCII (\uFF01 to \uFF5E) becomes ASCII, of any other code the low byte counts. An
    -- escape with too few digits stays without its backslash; a backslash at the end stays.
    jsDecode = { changes = classes.BACKSLASH, apply = decode_js },

    -- Description: decodes the escapes of CSS 2: a backslash and up to six hexadecimal digits, and
    -- one white space behind them.
    -- Example: "ja\vascript" gives "javascript", "\6a avascript" too.
    -- Full-width ASCII becomes ASCII, of any other code the low byte counts. A backslash before a
    -- line end goes with it, one at the end goes. (libmodsecurity cuts the text at a NUL.)
    cssDecode = { changes = classes.BACKSLASH, apply = decode_css },
}
