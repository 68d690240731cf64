--- base64url without padding (RFC 4648 section 5, RFC 7515 section 2), strictly.
--
-- nginx's own decoder takes +/ as well as -_ and ignores what follows a =, so two different texts
-- would be the same token. Here a sequence of bytes has exactly one text.

local bit = require("bit")
local ffi = require("ffi")

local band = bit.band
local bor = bit.bor
local byte = string.byte
local error = error
local ffi_new = ffi.new
local ffi_string = ffi.string
local lshift = bit.lshift
local rshift = bit.rshift
local type = type

local _M = {}

local INVALID = 255

-- From a byte to its six bits.
local VALUES = ffi_new("uint8_t[256]")
ffi.fill(VALUES, 256, INVALID)
do
    local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for i = 1, #alphabet do
        VALUES[byte(alphabet, i)] = i - 1
    end
end

-- Room for a token's longest part; a longer text gets a buffer of its own. Nothing here yields.
local SCRATCH_SIZE = 8192
local scratch = ffi_new("uint8_t[?]", SCRATCH_SIZE)

--- Whether a byte belongs to the alphabet.
function _M.is_letter(b)
    return VALUES[b] ~= INVALID
end

--- Decodes a text.
-- @param text string
-- @return string: the bytes, "" for ""
-- @return nil, string: why the text is refused
function _M.decode(text)
    if type(text) ~= "string" then
        error("base64url.decode: expected a string, got " .. type(text), 2)
    end
    local length = #text
    local left = length % 4
    -- RFC 4648 section 4: a last group has 2 or 3 letters; one letter is not a whole byte.
    if left == 1 then
        return nil, "not a length of base64url"
    end
    local out = length <= SCRATCH_SIZE and scratch or ffi_new("uint8_t[?]", length)
    local n = 0
    for i = 1, length - left, 4 do
        local a, b, c, d = byte(text, i, i + 3)
        a, b, c, d = VALUES[a], VALUES[b], VALUES[c], VALUES[d]
        if a == INVALID or b == INVALID or c == INVALID or d == INVALID then
            return nil, "not in the base64url alphabet"
        end
        out[n] = bor(lshift(a, 2), rshift(b, 4))
        out[n + 1] = bor(lshift(band(b, 15), 4), rshift(c, 2))
        out[n + 2] = bor(lshift(band(c, 3), 6), d)
        n = n + 3
    end
    if left > 0 then
        local a, b, c = byte(text, length - left + 1, length)
        a, b, c = VALUES[a], VALUES[b], left == 3 and VALUES[c] or 0
        if a == INVALID or b == INVALID or c == INVALID then
            return nil, "not in the base64url alphabet"
        end
        -- RFC 4648 section 3.5: bits that belong to no byte must be zero.
        if band(left == 2 and b or lshift(c, 2), 15) ~= 0 then
            return nil, "bits left over in base64url"
        end
        out[n] = bor(lshift(a, 2), rshift(b, 4))
        n = n + 1
        if left == 3 then
            out[n] = bor(lshift(band(b, 15), 4), rshift(c, 2))
            n = n + 1
        end
    end
    return ffi_string(out, n)
end

return _M
