--- utf8toUnicode: UTF-8 as %uHHHH, for urlDecodeUni to make the nearest ASCII of it.

local bit = require("bit")
local buffer = require("bartizan.waf.transformations.buffer")
local classes = require("bartizan.waf.classes")
local digits = require("bartizan.waf.transformations.digits")
local ffi = require("ffi")

local band = bit.band
local bor = bit.bor
local cast = ffi.cast
local ffi_string = ffi.string
local LETTER = digits.LETTER
local lshift = bit.lshift
local room = buffer.room
local rshift = bit.rshift

local bytes_of = ffi.typeof("const uint8_t *")
local PERCENT, SMALL_U = 0x25, 0x75

-- Writes %u and at least four digits.
local function write(out, n, code)
    out[n], out[n + 1] = PERCENT, SMALL_U
    n = n + 2
    local shift = code > 0xFFFFF and 20 or code > 0xFFFF and 16 or 12
    for k = shift, 0, -4 do
        out[n] = LETTER[band(rshift(code, k), 15)]
        n = n + 1
    end
    return n
end

local function apply(s)
    local length = #s
    -- At most 3.5 bytes for one: an overlong sequence of two becomes %uHHHH and its first byte.
    local out = room(4 * length)
    local bytes = cast(bytes_of, s)
    local i, n = 0, 0
    while i < length do
        local b = bytes[i]
        i = i + 1
        if b < 0xC0 or b > 0xF7 then
            -- ASCII, and bytes that can begin no sequence.
            out[n] = b
            n = n + 1
        else
            local tail = b < 0xE0 and 1 or b < 0xF0 and 2 or 3
            local code = band(b, rshift(0x3F, tail))
            local k = 0
            -- Behind every Lua string there is a NUL, which goes on no sequence.
            while k < tail and band(bytes[i + k], 0xC0) == 0x80 do
                code = bor(lshift(code, 6), band(bytes[i + k], 0x3F))
                k = k + 1
            end
            -- RFC 3629 section 3: no sequence begins with these.
            if b >= 0xF5 then
                out[n] = b
                n = n + 1
            end
            if k == tail then
                n = write(out, n, code)
                i = i + tail
                local least = tail == 1 and 0x80 or tail == 2 and 0x800 or 0x10000
                if code < least or code >= 0xD800 and code <= 0xDFFF then
                    out[n] = b
                    n = n + 1
                end
            end
        end
    end
    return ffi_string(out, n)
end

return {
    -- Description: writes each UTF-8 sequence as %uHHHH, with more digits above U+FFFF.
    -- Example: "\195\169" (U+00E9) gives "%u00e9".
    -- The manual says no more. As in libmodsecurity an overlong sequence or a surrogate is decoded,
    -- and its first byte stays behind it; one that begins with F5 to F7 has that byte before it; a
    -- first byte without its sequence is left out; other bytes stay. (libmodsecurity also leaves
    -- out NULs.)
    utf8toUnicode = { changes = classes.HIGH, apply = apply },
}
