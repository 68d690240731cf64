--- Operators that match what is not well-formed.

local utf8 = require("bartizan.utf8")

local ffi = require("ffi")

local cast = ffi.cast
local error = error
local ffi_new = ffi.new
local find = string.find
local format = string.format
local gmatch = string.gmatch
local match = string.match
local step = utf8.step
local sub = string.sub
local tonumber = tonumber

local bytes_of = ffi.typeof("const uint8_t *")

local _M = {}

local function no_macros(text)
    if not text then
        error("macros have no meaning in its argument", 0)
    end
    return text
end

-- One number or range of a list, without the spaces around it.
local function bounds(item)
    local first, last = match(item, "^%s*(%d+)%s*%-%s*(%d+)%s*$")
    if not first then
        first = match(item, "^%s*(%d+)%s*$")
        last = first
    end
    first, last = tonumber(first), tonumber(last)
    if not first or first > last or last > 255 then
        error(format("%q is not a byte's number from 0 to 255 or a range such as 32-126", item), 0)
    end
    return first, last
end

local function check_byte_range(op, value)
    local bytes, allowed = cast(bytes_of, value), op.allowed
    for i = 0, #value - 1 do
        if allowed[bytes[i]] == 0 then
            return true, sub(value, i + 1, i + 1)
        end
    end
    return false
end

--- validateByteRange
-- Description: the value has a byte that is not among those of the argument.
-- Arguments: numbers from 0 to 255 and ranges of them, set apart by commas; without macros.
-- Returns: the first byte that is not allowed.
-- Example: SecRule ARGS "@validateByteRange 10, 13, 32-126" "id:178"
function _M.validateByteRange(op, text)
    op.allowed = ffi_new("uint8_t[256]")
    for item in gmatch(no_macros(text) .. ",", "([^,]*),") do
        local first, last = bounds(item)
        for b = first, last do
            op.allowed[b] = 1
        end
    end
    op.check = check_byte_range
end

local function check_url_encoding(_, value)
    local at = find(value, "%", 1, true)
    while at do
        if not find(value, "^%x%x", at + 1) then
            return true, sub(value, at, at + 2)
        end
        at = find(value, "%", at + 3, true)
    end
    return false
end

--- validateUrlEncoding
-- Description: the value has a percent sign without two hexadecimal digits behind it. Only for
-- values that are encoded: an argument that was decoded may hold any percent sign.
-- Arguments: none.
-- Returns: the percent sign and up to two bytes behind it.
-- Example: SecRule REQUEST_URI_RAW "@validateUrlEncoding" "id:192"
function _M.validateUrlEncoding(op)
    op.check = check_url_encoding
end

local function check_utf8(_, value)
    local bytes, length = cast(bytes_of, value), #value
    local at = 0
    while at < length do
        local first = bytes[at]
        -- Behind a value is a zero byte, where a sequence ends that is cut short.
        local after = first < 0x80 and at + 1 or step(bytes, at, first)
        if not after then
            return true, sub(value, at + 1, at + 4)
        end
        at = after
    end
    return false
end

--- validateUtf8Encoding
-- Description: the value is not UTF-8 as RFC 3629 has it: a sequence is cut short, a byte has no
-- place where it stands, a character is longer than it must be, or it is none (a surrogate, or
-- above U+10FFFF).
-- Arguments: none.
-- Returns: up to four bytes from the first mistake on.
-- Example: SecRule ARGS "@validateUtf8Encoding" "id:193"
function _M.validateUtf8Encoding(op)
    op.check = check_utf8
end

return _M
