--- Hexadecimal numbers for bytes: to and fro, and as SQL has them.

local bit = require("bit")
local buffer = require("bartizan.waf.transformations.buffer")
local classes = require("bartizan.waf.classes")
local digits = require("bartizan.waf.transformations.digits")
local ffi = require("ffi")

local band = bit.band
local bor = bit.bor
local cast = ffi.cast
local ffi_string = ffi.string
local HEX = digits.HEX
local LETTER = digits.LETTER
local LOOSE = digits.LOOSE
local room = buffer.room
local rshift = bit.rshift

local bytes_of = ffi.typeof("const uint8_t *")
local ZERO, SMALL_X = 0x30, 0x78
local TO_SMALL = 0x20

local function encode(s)
    local out = room(2 * #s)
    local bytes = cast(bytes_of, s)
    for i = 0, #s - 1 do
        local b = bytes[i]
        out[2 * i] = LETTER[rshift(b, 4)]
        out[2 * i + 1] = LETTER[band(b, 15)]
    end
    return ffi_string(out, 2 * #s)
end

local function decode(s)
    local out = room(#s)
    local bytes = cast(bytes_of, s)
    local n = 0
    for i = 0, #s - 2, 2 do
        out[n] = band(16 * LOOSE[bytes[i]] + LOOSE[bytes[i + 1]], 0xFF)
        n = n + 1
    end
    return ffi_string(out, n)
end

local function decode_sql(s)
    local length = #s
    local out = room(length)
    local bytes = cast(bytes_of, s)
    local i, n = 0, 0
    while i < length do
        local b = bytes[i]
        -- Behind the text there is a NUL, which is no digit.
        if b == ZERO and bor(bytes[i + 1], TO_SMALL) == SMALL_X and HEX[bytes[i + 2]] >= 0 and
           HEX[bytes[i + 3]] >= 0 then
            i = i + 2
            local high = HEX[bytes[i]]
            while high >= 0 do
                local low = HEX[bytes[i + 1]]
                if low < 0 then
                    break
                end
                out[n] = 16 * high + low
                n = n + 1
                i = i + 2
                high = HEX[bytes[i]]
            end
        else
            out[n] = b
            n = n + 1
            i = i + 1
        end
    end
    return ffi_string(out, n)
end

return {
    -- Description: writes each byte as two hexadecimal digits.
    -- Example: "xyz" gives "78797a".
    hexEncode = { changes = classes.ALL, apply = encode },

    -- Description: reads pairs of hexadecimal digits, what hexEncode writes.
    -- Example: "78797a" gives "xyz".
    -- A last digit alone is left out. The manual does not say what bytes that are no digits give;
    -- they count as in libmodsecurity: from the digit 0 below the A, else from the letter A.
    hexDecode = { changes = classes.ALL, apply = decode },

    -- Description: decodes the hexadecimal numbers of SQL, wherever they are in the text.
    -- Example: "0x414243" gives "ABC"; an x may be a capital.
    -- A number without a pair of digits stays; a digit too many stays behind the bytes.
    -- (libmodsecurity leaves out the last byte of the text, what follows a NUL, and does not see a
    -- number right behind another: none of it in the manual.)
    sqlHexDecode = { changes = classes.X, apply = decode_sql },
}
