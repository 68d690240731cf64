--- JSON numbers (RFC 8259 section 6): a Lua number, boxed where a double is not what was written.

local ffi = require("ffi")

local ffi_string = ffi.string
local find = string.find
local getmetatable = getmetatable
local huge = math.huge
local setmetatable = setmetatable
local tonumber = tonumber
local tostring = tostring
local type = type

local _M = {}

local Number = { __tostring = function(number) return number.text end }

-- RFC 8259 section 9 lets a reader bound numbers; the longest exact double has 767 digits.
local MAX_LENGTH = 1000
-- RFC 7493 section 2.2: below 2^53 every integer is a double of its own; 15 digits always are.
local INTEGER_BOUND = 9007199254740992
local SAFE_DIGITS = 15

local MINUS, PLUS, DOT, ZERO, NINE = 0x2D, 0x2B, 0x2E, 0x30, 0x39
local UPPER_E, LOWER_E = 0x45, 0x65

-- A digit other than 0 before the exponent.
local NOT_ZERO = "^[-0.]*[1-9]"

-- The position after the digits that begin at `pos`, and the byte there.
local function skip_digits(bytes, pos)
    local b = bytes[pos]
    while b >= ZERO and b <= NINE do
        pos = pos + 1
        b = bytes[pos]
    end
    return pos, b
end

-- LuaJIT's tonumber gives up on exponents beyond a million, which no 1,000 digits can make up for.
local function saturate(written)
    if find(written, "[eE]-") or not find(written, NOT_ZERO) then
        return 0
    end
    return find(written, "^-") and -huge or huge
end

--- Reads the number that begins at a position.
-- @param bytes cdata: const uint8_t *; behind the text there is a zero byte
-- @param start number: the position of its first character, from 0 on
-- @param exact boolean: box every number whose text tostring() would not give back
-- @return value, number: the number or boxed number, and the position after it
-- @return nil, nil, string, number: what is wrong, and where
function _M.read(bytes, start, exact)
    local first = bytes[start] == MINUS and start + 1 or start
    local pos, b, value = first, bytes[first], 0
    while b >= ZERO and b <= NINE do
        value = value * 10 + (b - ZERO)
        pos = pos + 1
        b = bytes[pos]
    end
    local digits = pos - first
    if digits == 0 then
        return nil, nil, "unexpected character", start
    elseif digits > 1 and bytes[first] == ZERO then
        return nil, nil, "number with a leading zero", start
    end
    local integer = true
    if b == DOT then
        integer = false
        local fraction = pos + 1
        pos, b = skip_digits(bytes, fraction)
        if pos == fraction then
            return nil, nil, "no digit after the decimal point", pos
        end
    end
    if b == LOWER_E or b == UPPER_E then
        integer = false
        local exponent = pos + 1
        local sign = bytes[exponent]
        if sign == PLUS or sign == MINUS then
            exponent = exponent + 1
        end
        pos = skip_digits(bytes, exponent)
        if pos == exponent then
            return nil, nil, "no digit in the exponent", pos
        end
    end
    if integer and digits <= SAFE_DIGITS then
        return first == start and value or -value, pos
    elseif pos - start > MAX_LENGTH then
        return nil, nil, "number too long", start
    end

    local written = ffi_string(bytes + start, pos - start)
    value = tonumber(written) or saturate(written)
    local faithful
    if exact then
        faithful = tostring(value) == written
    elseif integer then
        faithful = value > -INTEGER_BOUND and value < INTEGER_BOUND
    else
        -- Not infinite, and not zero by underflow.
        faithful = value - value == 0 and (value ~= 0 or not find(written, NOT_ZERO))
    end
    if faithful then
        return value, pos
    end
    return setmetatable({ value = value, text = written }, Number), pos
end

--- The value of a decoded number, boxed or not.
-- @return number: can be infinite, or rounded, when the number was boxed
-- @return nil: the value is no number
function _M.value(number)
    if type(number) == "number" then
        return number
    elseif getmetatable(number) == Number then
        return number.value
    end
    return nil
end

--- The text of a decoded number: as it was written when it was boxed, otherwise tostring's form.
-- @return string
-- @return nil: the value is no number
function _M.text(number)
    if type(number) == "number" or getmetatable(number) == Number then
        return tostring(number)
    end
    return nil
end

return _M
