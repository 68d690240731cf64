--- base64url without padding (RFC 4648 section 5, RFC 7515 section 2), strictly.
--
-- nginx's own decoder takes +/ as well as -_ and ignores what follows a =, so two different texts
-- would be the same token. Here a sequence of bytes has exactly one text.

local bit = require("bit")
local ffi = require("ffi")

local band = bit.band
local bor = bit.bor
local byte = string.byte
local cast = ffi.cast
local error = error
local ffi_new = ffi.new
local ffi_string = ffi.string
local lshift = bit.lshift
local rshift = bit.rshift
local type = type

local _M = {}

-- From a byte to its six bits, where they belong in a group of four letters. A byte that is no
-- letter has a negative number, which makes the whole group negative.
local FIRST, SECOND = ffi_new("int32_t[256]"), ffi_new("int32_t[256]")
local THIRD, FOURTH = ffi_new("int32_t[256]"), ffi_new("int32_t[256]")
do
    local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for b = 0, 255 do
        FIRST[b], SECOND[b], THIRD[b], FOURTH[b] = -1, -1, -1, -1
    end
    for i = 1, #alphabet do
        local b, value = byte(alphabet, i), i - 1
        FIRST[b], SECOND[b] = lshift(value, 18), lshift(value, 12)
        THIRD[b], FOURTH[b] = lshift(value, 6), value
    end
end

local bytes_of = ffi.typeof("const uint8_t *")

--- Whether a byte belongs to the alphabet.
function _M.is_letter(b)
    return FOURTH[b] >= 0
end

--- How much room `decode_to` may need for a text of a length.
local function room(length)
    return (length - length % 4) / 4 * 3 + 2
end
_M.room = room

--- Decodes a piece of a text into memory: what differs from token to token in its middle alone is
-- never made a string, for LuaJIT hashes a string by its ends and middle, and such ones pile up.
-- @param out cdata: uint8_t *, with room(length) bytes
-- @param text string
-- @param from number: where the piece begins, from 0 on
-- @param length number: of the piece
-- @return number: how many bytes were written
-- @return nil, string: why the piece is refused
local function decode_to(out, text, from, length)
    local left = band(length, 3)
    -- RFC 4648 section 4: a last group has 2 or 3 letters; one letter is not a whole byte.
    if left == 1 then
        return nil, "not a length of base64url"
    end
    local letters = cast(bytes_of, text)
    local n, wrong = 0, 0
    for i = from, from + length - 4, 4 do
        local group = bor(FIRST[letters[i]], SECOND[letters[i + 1]], THIRD[letters[i + 2]],
                          FOURTH[letters[i + 3]])
        wrong = bor(wrong, group)
        out[n] = band(rshift(group, 16), 0xFF)
        out[n + 1] = band(rshift(group, 8), 0xFF)
        out[n + 2] = band(group, 0xFF)
        n = n + 3
    end
    if left > 0 then
        -- From the string itself, which so lives for as long as the pointer into it is used.
        local a, b, c = byte(text, from + length - left + 1, from + length)
        local group = bor(FIRST[a], SECOND[b], left == 3 and THIRD[c] or 0)
        wrong = bor(wrong, group)
        -- RFC 4648 section 3.5: bits that belong to no byte must be zero.
        if wrong >= 0 and band(group, left == 3 and 0xFF or 0xFFFF) ~= 0 then
            return nil, "bits left over in base64url"
        end
        out[n] = band(rshift(group, 16), 0xFF)
        n = n + 1
        if left == 3 then
            out[n] = band(rshift(group, 8), 0xFF)
            n = n + 1
        end
    end
    if wrong < 0 then
        return nil, "not in the base64url alphabet"
    end
    return n
end
_M.decode_to = decode_to

--- Decodes a text.
-- @param text string
-- @return string: the bytes, "" for ""
-- @return nil, string: why the text is refused
function _M.decode(text)
    if type(text) ~= "string" then
        error("base64url.decode: expected a string, got " .. type(text), 2)
    end
    local out = ffi_new("uint8_t[?]", room(#text))
    local n, err = decode_to(out, text, 0, #text)
    if not n then
        return nil, err
    end
    return ffi_string(out, n)
end

return _M
