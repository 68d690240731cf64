--- Operators that compare whole numbers.
--
-- A text counts as the number that it begins with: white space, a sign, decimal digits; what comes
-- after is not looked at. A text that begins with none counts as 0: so does an empty one, and so
-- says the manual. Numbers too large for a double's 53 bits are compared by their nearest double:
-- libmodsecurity takes them for 0 in @eq, which let Content-Length: 99999999999 pass for none.

local byte = string.byte

local _M = {}

local MINUS, PLUS = 0x2D, 0x2B

-- C's isspace: what strtol skips.
local function is_space(b)
    return b == 0x20 or b >= 0x09 and b <= 0x0D
end

local function integer(text)
    local at, length = 1, #text
    while at <= length and is_space(byte(text, at)) do
        at = at + 1
    end
    local sign = 1
    local b = byte(text, at)
    if b == MINUS or b == PLUS then
        sign = b == MINUS and -1 or 1
        at = at + 1
    end
    local number = 0
    while at <= length do
        b = byte(text, at)
        if b < 0x30 or b > 0x39 then
            break
        end
        number = number * 10 + (b - 0x30)
        at = at + 1
    end
    return sign * number
end

local function maker(compare)
    local function check(op, value, argument)
        if compare(integer(value), argument and integer(argument) or op.number) then
            return true, value
        end
        return false
    end
    return function(op, text)
        op.number = text and integer(text)
        op.check = check
    end
end

--- eq
-- Description: the value is equal to the argument.
-- Arguments: a number, with macros.
-- Returns: the value.
-- Example: SecRule &REQUEST_HEADERS_NAMES "@eq 15" "id:153"
_M.eq = maker(function(value, number) return value == number end)

--- ge
-- Description: the value is greater than the argument or equal to it.
-- Arguments: a number, with macros.
-- Returns: the value.
-- Example: SecRule &REQUEST_HEADERS_NAMES "@ge 15" "id:154"
_M.ge = maker(function(value, number) return value >= number end)

--- gt
-- Description: the value is greater than the argument.
-- Arguments: a number, with macros.
-- Returns: the value.
-- Example: SecRule &REQUEST_HEADERS_NAMES "@gt 15" "id:158"
_M.gt = maker(function(value, number) return value > number end)

--- le
-- Description: the value is less than the argument or equal to it.
-- Arguments: a number, with macros.
-- Returns: the value.
-- Example: SecRule &REQUEST_HEADERS_NAMES "@le 15" "id:164"
_M.le = maker(function(value, number) return value <= number end)

--- lt
-- Description: the value is less than the argument.
-- Arguments: a number, with macros.
-- Returns: the value.
-- Example: SecRule &REQUEST_HEADERS_NAMES "@lt 15" "id:165"
_M.lt = maker(function(value, number) return value < number end)

return _M
