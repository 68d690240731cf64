--- Transformations that put one byte in the place of another and leave the length as it is.

local bit = require("bit")
local buffer = require("bartizan.waf.transformations.buffer")
local classes = require("bartizan.waf.classes")
local ffi = require("ffi")

local band = bit.band
local bor = bit.bor
local bxor = bit.bxor
local cast = ffi.cast
local ffi_new = ffi.new
local ffi_string = ffi.string
local room = buffer.room
local rshift = bit.rshift

local bytes_of = ffi.typeof("const uint8_t *")

-- A transformation out of what it makes of each byte.
local function mapping(of_byte)
    local map = ffi_new("uint8_t[256]")
    for b = 0, 255 do
        map[b] = of_byte(b)
    end
    return function(s)
        local out = room(#s)
        local bytes = cast(bytes_of, s)
        for i = 0, #s - 1 do
            out[i] = map[bytes[i]]
        end
        return ffi_string(out, #s)
    end
end

-- The bit that makes the number of ones in a byte even: of the seven bits that are data.
local function parity(b)
    local folded = band(b, 0x7F)
    folded = bxor(folded, rshift(folded, 4))
    folded = bxor(folded, rshift(folded, 2))
    folded = bxor(folded, rshift(folded, 1))
    return band(folded, 1) * 0x80
end

return {
    -- Description: letters become small ones.
    -- Example: "SeLeCt" gives "select".
    -- Only A to Z: the locale is C's, whatever the system's is.
    lowercase = {
        changes = classes.UPPER,
        apply = mapping(function(b)
            return b >= 0x41 and b <= 0x5A and b + 0x20 or b
        end),
    },

    -- Description: letters become capitals.
    -- Example: "select" gives "SELECT".
    -- Only a to z.
    uppercase = {
        changes = classes.LOWER,
        apply = mapping(function(b)
            return b >= 0x61 and b <= 0x7A and b - 0x20 or b
        end),
    },

    -- Description: a NUL becomes a space.
    -- Example: "a\0b" gives "a b".
    replaceNulls = {
        changes = classes.NUL,
        apply = mapping(function(b)
            return b == 0 and 0x20 or b
        end),
    },

    -- Description: the 8th bit becomes the even parity of the other seven.
    -- Example: "a" (three ones) gives 0xE1, "c" (four) stays.
    -- The manual calculates of 7-bit data, so what the 8th bit was does not matter; libmodsecurity
    -- counts it in, and is wrong for bytes from 0x80 on.
    parityEven7bit = {
        changes = classes.ALL,
        apply = mapping(function(b)
            return bor(band(b, 0x7F), parity(b))
        end),
    },

    -- Description: the 8th bit becomes the odd parity of the other seven.
    -- Example: "c" (four ones) gives 0xE3, "a" (three) stays.
    parityOdd7bit = {
        changes = classes.ALL,
        apply = mapping(function(b)
            return bor(band(b, 0x7F), 0x80 - parity(b))
        end),
    },

    -- Description: the 8th bit becomes zero, so that 7-bit data can be read as ASCII whatever its
    -- parity is.
    -- Example: 0xE1 gives "a".
    parityZero7bit = {
        changes = classes.HIGH,
        apply = mapping(function(b)
            return band(b, 0x7F)
        end),
    },
}
