--- Base64 (RFC 4648 section 4): to and fro.

local bit = require("bit")
local buffer = require("bartizan.waf.transformations.buffer")
local classes = require("bartizan.waf.classes")
local ffi = require("ffi")

local band = bit.band
local bor = bit.bor
local byte = string.byte
local cast = ffi.cast
local ffi_new = ffi.new
local ffi_string = ffi.string
local lshift = bit.lshift
local room = buffer.room
local rshift = bit.rshift

local bytes_of = ffi.typeof("const uint8_t *")
local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local LETTER, VALUE = ffi_new("uint8_t[64]"), ffi_new("int8_t[256]")
for b = 0, 255 do
    VALUE[b] = -1
end
for i = 1, 64 do
    LETTER[i - 1] = byte(ALPHABET, i)
    VALUE[byte(ALPHABET, i)] = i - 1
end
local NUL, LF, CR, SPACE, PAD = 0x00, 0x0A, 0x0D, 0x20, 0x3D

local function decode(s)
    local length = #s
    local out = room(length)
    local bytes = cast(bytes_of, s)
    local i, n, group, letters, pads = 0, 0, 0, 0, 0
    while i < length do
        local b = bytes[i]
        local value = VALUE[b]
        if value >= 0 and pads == 0 then
            group = bor(lshift(group, 6), value)
            letters = letters + 1
            if letters == 4 then
                out[n] = rshift(group, 16)
                out[n + 1] = band(rshift(group, 8), 0xFF)
                out[n + 2] = band(group, 0xFF)
                n = n + 3
                group, letters = 0, 0
            end
        elseif b == PAD and pads < 2 then
            pads = pads + 1
        elseif b == NUL then
            break
        elseif b == SPACE or b == LF or b == CR then
            -- Lines may end, and have spaces before that: no spaces but at the end of a line.
            while bytes[i] == SPACE do
                i = i + 1
            end
            b = bytes[i]
            if b == CR and bytes[i + 1] == LF then
                i = i + 1
            elseif b ~= LF then
                if b ~= NUL then
                    return ""
                end
                break
            end
        else
            return ""
        end
        i = i + 1
    end
    -- A last group counts with its padding: 2 letters and 2, or 3 and 1.
    if pads > 0 and letters + pads == 4 then
        out[n] = band(rshift(group, letters * 6 - 8), 0xFF)
        if letters == 3 then
            out[n + 1] = band(rshift(group, 2), 0xFF)
        end
        n = n + letters - 1
    end
    return ffi_string(out, n)
end

local function decode_forgiving(s)
    local length = #s
    local out = room(length)
    local bytes = cast(bytes_of, s)
    local n, group, bits = 0, 0, 0
    for i = 0, length - 1 do
        local value = VALUE[bytes[i]]
        if value >= 0 then
            -- Never more than 6 bits that are left, and 6 new ones.
            group = band(bor(lshift(group, 6), value), 0xFFF)
            bits = bits + 6
            if bits >= 8 then
                bits = bits - 8
                out[n] = band(rshift(group, bits), 0xFF)
                n = n + 1
            end
        end
    end
    return ffi_string(out, n)
end

local function encode(s)
    local length = #s
    local out = room((length + 2) / 3 * 4)
    local bytes = cast(bytes_of, s)
    local n = 0
    for i = 0, length - 1, 3 do
        -- Behind the text there is a NUL; what would lie behind that is never looked at.
        local a, b = bytes[i], bytes[i + 1]
        local c = i + 2 < length and bytes[i + 2] or 0
        out[n] = LETTER[rshift(a, 2)]
        out[n + 1] = LETTER[bor(lshift(band(a, 3), 4), rshift(b, 4))]
        out[n + 2] = i + 1 < length and LETTER[bor(lshift(band(b, 15), 2), rshift(c, 6))] or PAD
        out[n + 3] = i + 2 < length and LETTER[band(c, 63)] or PAD
        n = n + 4
    end
    return ffi_string(out, n)
end

return {
    -- Description: decodes base64.
    -- Example: "VGVzdENhc2U=" gives "TestCase".
    -- What is no base64, a letter of another alphabet, padding that is not at the end or a space
    -- that is not at the end of a line, gives the empty text. A last group that is not whole is
    -- left out, and a NUL ends the text: both as in libmodsecurity, where the manual says nothing.
    base64Decode = { changes = classes.ALL, apply = decode },

    -- Description: decodes base64 and ignores every byte that is not in the alphabet.
    -- Example: "V.GVz@dENhc2U" gives "TestCase".
    -- Padding is ignored as well, wherever it is, as PHP does. Bits that make no byte are left out.
    -- (libmodsecurity gives nothing at all where padding follows the first letter of a group, or
    -- where that letter is a 9 and the last one.)
    base64DecodeExt = { changes = classes.ALL, apply = decode_forgiving },

    -- Description: encodes in base64, with padding and in one line.
    -- Example: "TestCase" gives "VGVzdENhc2U=".
    base64Encode = { changes = classes.ALL, apply = encode },
}
