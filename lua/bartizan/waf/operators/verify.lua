--- Operators that find numbers which carry a check digit, so that not any digits will do.
--
-- A pattern finds what may be such a number; the digits of what it matched are then reckoned with.
-- Each place of the value is tried, as a longer run of digits can hide the number. All capture it
-- as TX:0 and return it.

local budget = require("bartizan.waf.budget")
local pcre2 = require("bartizan.waf.pcre2")

local byte = string.byte
local error = error
local new_regex = pcre2.new
local sub = string.sub

local _M = {}

-- The decimal digits of a text, in order, and how many they are.
local function digits_of(text)
    local digits, count = {}, 0
    for i = 1, #text do
        local b = byte(text, i)
        if b >= 0x30 and b <= 0x39 then
            count = count + 1
            digits[count] = b - 0x30
        end
    end
    return digits, count
end

local function all_equal(digits, count)
    for i = 2, count do
        if digits[i] ~= digits[1] then
            return false
        end
    end
    return true
end

local function search(op, value, captures)
    local start, length = 0, #value
    while start < length do
        local first, last = op.regex:find(value, start)
        if not first then
            return first, last
        end
        local text = sub(value, first + 1, last)
        if op.is_valid(digits_of(text)) then
            if captures then
                captures[0] = text
            end
            return true, text
        end
        start = first + 1
    end
    return false
end

-- All places of a value have one budget, also where no request's is running.
local function check(op, value, _, captures)
    if budget.is_running() then
        return search(op, value, captures)
    end
    budget.begin()
    local matches, text = search(op, value, captures)
    budget.finish()
    return matches, text
end

local function maker(is_valid)
    return function(op, pattern)
        if not pattern or pattern == "" then
            error("it needs a pattern, without macros", 0)
        end
        local regex, err = new_regex(pattern)
        if not regex then
            error(err, 0)
        end
        op.regex, op.is_valid, op.check = regex, is_valid, check
    end
end

--- verifyCC
-- Description: the value has a payment card's number: digits whose sum by Luhn (ISO/IEC 7812-1,
-- annex B) is a multiple of ten.
-- Arguments: a pattern for the number; without macros.
-- Returns: the number.
-- Example: SecRule ARGS "@verifyCC \d{13,16}" "id:194,sanitiseMatched"
_M.verifyCC = maker(function(digits, count)
    local sum = 0
    for i = count, 1, -1 do
        local digit = digits[i]
        if (count - i) % 2 == 1 then
            digit = digit * 2
            digit = digit > 9 and digit - 9 or digit
        end
        sum = sum + digit
    end
    return count > 0 and sum % 10 == 0
end)

--- verifyCPF
-- Description: the value has a Brazilian tax number (CPF): eleven digits, the last two of which
-- check those before, modulo 11. Eleven equal digits would pass, and are none.
-- Arguments: a pattern for the number; without macros.
-- Returns: the number.
-- Example: SecRule ARGS "@verifyCPF /^([0-9]{3}\.){2}[0-9]{3}-[0-9]{2}$/" "id:195"
_M.verifyCPF = maker(function(digits, count)
    if count ~= 11 or all_equal(digits, count) then
        return false
    end
    for place = 10, 11 do
        local sum = 0
        for i = 1, place - 1 do
            sum = sum + digits[i] * (place + 1 - i)
        end
        local rest = sum % 11
        if digits[place] ~= (rest < 2 and 0 or 11 - rest) then
            return false
        end
    end
    return true
end)

--- verifySSN
-- Description: the value has a social security number of the United States: nine digits, no part
-- (area, group, serial) of zeros alone, no area that was not given out (666, 740 and above), not
-- all digits equal or each one more than the one before.
-- Arguments: a pattern for the number; without macros.
-- Returns: the number.
-- Example: SecRule ARGS "@verifySSN \d{3}-?\d{2}-?\d{4}" "id:196"
_M.verifySSN = maker(function(digits, count)
    if count ~= 9 or all_equal(digits, count) then
        return false
    end
    local rising = true
    for i = 2, 9 do
        rising = rising and digits[i] == digits[i - 1] + 1
    end
    local area = digits[1] * 100 + digits[2] * 10 + digits[3]
    local group = digits[4] * 10 + digits[5]
    local serial = digits[6] * 1000 + digits[7] * 100 + digits[8] * 10 + digits[9]
    return not rising and area ~= 0 and area ~= 666 and area < 740 and group ~= 0 and serial ~= 0
end)

-- The weights of an Austrian insurance number's digits; the fourth one is the check digit.
local SVNR_WEIGHTS = { 3, 7, 9, 0, 5, 8, 4, 2, 1, 6 }

--- verifySVNR
-- Description: the value has an Austrian social insurance number: ten digits, the fourth of which
-- checks the others, modulo 11. Ten equal digits are none.
-- Arguments: a pattern for the number; without macros.
-- Returns: the number.
-- Example: SecRule ARGS "@verifySVNR [0-9]{4} ?[0-9]{6}" "id:197"
_M.verifySVNR = maker(function(digits, count)
    if count ~= 10 or all_equal(digits, count) then
        return false
    end
    local sum = 0
    for i = 1, 10 do
        sum = sum + digits[i] * SVNR_WEIGHTS[i]
    end
    local rest = sum % 11
    -- libmodsecurity takes a rest of 10, for which no number is given out, as 0; so do we.
    return digits[4] == (rest == 10 and 0 or rest)
end)

return _M
