--- htmlEntityDecode: characters that are written as HTML entities.

local bit = require("bit")
local buffer = require("bartizan.waf.transformations.buffer")
local classes = require("bartizan.waf.classes")
local digits = require("bartizan.waf.transformations.digits")
local ffi = require("ffi")

local band = bit.band
local bor = bit.bor
local byte = string.byte
local cast = ffi.cast
local ffi_new = ffi.new
local ffi_string = ffi.string
local HEX = digits.HEX
local room = buffer.room

local bytes_of = ffi.typeof("const uint8_t *")
local AMPERSAND, HASH, NINE, SEMICOLON, SMALL_X = 0x26, 0x23, 9, 0x3B, 0x78
local TO_SMALL = 0x20

local WORD = ffi_new("uint8_t[256]")
for b = 0, 255 do
    local letter = bor(b, TO_SMALL)
    WORD[b] = (b >= 0x30 and b <= 0x39 or letter >= 0x61 and letter <= 0x7A) and 1 or 0
end

-- A name as a number of 32 bits: its letters from the first on, in small.
local function key(name)
    local value = 0
    for i = 1, #name do
        value = 256 * value + byte(name, i)
    end
    return value
end
local QUOT, AMP, LT, GT, NBSP = key("quot"), key("amp"), key("lt"), key("gt"), key("nbsp")

-- The byte that a name of one of the lengths 2 to 4 stands for, or -1.
local function named(bytes, i, length)
    if length < 2 or length > 4 then
        return -1
    end
    local value = 0
    for k = i, i + length - 1 do
        value = 256 * value + bor(bytes[k], TO_SMALL)
    end
    if value == LT then
        return 0x3C
    elseif value == GT then
        return 0x3E
    elseif value == AMP then
        return AMPERSAND
    elseif value == QUOT then
        return 0x22
    elseif value == NBSP then
        return 0xA0
    end
    return -1
end

-- Behind every Lua string there is a NUL, where numbers and names end.

-- The low byte of the number at i, or -1 where there is none, and where it ends.
local function number(bytes, i)
    local base, highest = 10, NINE
    if bor(bytes[i], TO_SMALL) == SMALL_X then
        base, highest = 16, 15
        i = i + 1
    end
    local value, digit = -1, HEX[bytes[i]]
    while digit >= 0 and digit <= highest do
        value = band((value < 0 and 0 or value) * base + digit, 0xFF)
        i = i + 1
        digit = HEX[bytes[i]]
    end
    return value, i
end

local function apply(s)
    local length = #s
    local out = room(length)
    local bytes = cast(bytes_of, s)
    local i, n = 0, 0
    while i < length do
        local b = bytes[i]
        i = i + 1
        if b == AMPERSAND then
            local value, after
            if bytes[i] == HASH then
                value, after = number(bytes, i + 1)
            else
                after = i
                while WORD[bytes[after]] == 1 do
                    after = after + 1
                end
                value = named(bytes, i, after - i)
            end
            -- What is no entity is passed on from behind its ampersand: neither a number nor a
            -- name holds another one, so each byte is looked at twice at most.
            if value >= 0 then
                b = value
                i = bytes[after] == SEMICOLON and after + 1 or after
            end
        end
        out[n] = b
        n = n + 1
    end
    return ffi_string(out, n)
end

return {
    -- Description: decodes &#xHH; &#DDD; &quot; &amp; &lt; &gt; &nbsp; in letters of either
    -- case, with the semicolon or without.
    -- Example: "&lt;&#x73;cript&gt" gives "<script>".
    -- One entity gives one byte: of a larger number the low byte. An entity with another name, or
    -- without digits, stays.
    htmlEntityDecode = { changes = classes.AMPERSAND, apply = apply },
}
