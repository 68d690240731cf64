--- Operators that compare a value with a text, byte by byte and with regard to case.
--
-- Their argument may have macros: `check` takes the expanded text, or the constant one from `op`.
-- None of them captures. A text of no bytes is in every text.

local find = string.find
local sub = string.sub
local byte = string.byte

local _M = {}

-- Makes a maker for a function of (value, text) that answers as a check does.
local function maker(compare)
    local function check(op, value, argument)
        return compare(value, argument or op.text)
    end
    return function(op, text)
        op.text = text
        op.check = check
    end
end

--- beginsWith
-- Description: the value begins with the text.
-- Arguments: text, with macros.
-- Returns: the text that was found.
-- Example: SecRule REQUEST_LINE "!@beginsWith GET" "id:149"
_M.beginsWith = maker(function(value, text)
    if sub(value, 1, #text) == text then
        return true, text
    end
    return false
end)

--- contains
-- Description: the text is somewhere in the value.
-- Arguments: text, with macros.
-- Returns: the text that was found.
-- Example: SecRule REQUEST_LINE "@contains .php" "id:150"
_M.contains = maker(function(value, text)
    if find(value, text, 1, true) then
        return true, text
    end
    return false
end)

--- strmatch
-- Description: the text is somewhere in the value; an older name of @contains.
-- Arguments: text, with macros.
-- Returns: the text that was found.
-- Example: SecRule REQUEST_HEADERS:User-Agent "@strmatch WebZIP" "id:207"
_M.strmatch = _M.contains

-- Whether the byte at a place can be a part of a word. There is none before a text or behind it.
local function is_word(value, at)
    local b = at >= 1 and byte(value, at)
    return b and (b >= 0x61 and b <= 0x7A or b >= 0x41 and b <= 0x5A or b >= 0x30 and b <= 0x39
                  or b == 0x5F)
end

--- containsWord
-- Description: the text is somewhere in the value, and no letter, digit or underscore is right
-- before or behind it.
-- Arguments: text, with macros.
-- Returns: the text that was found.
-- Example: SecRule ARGS "@containsWord select" "id:151" matches "-1 union select x", and does not
-- match "a wide selection"
_M.containsWord = maker(function(value, text)
    if text == "" then
        return true, text
    end
    local from = 1
    while true do
        local first, last = find(value, text, from, true)
        if not first then
            return false
        elseif not (is_word(value, first - 1) or is_word(value, last + 1)) then
            return true, text
        end
        from = first + 1
    end
end)

--- endsWith
-- Description: the value ends with the text.
-- Arguments: text, with macros.
-- Returns: the text that was found.
-- Example: SecRule REQUEST_LINE "!@endsWith HTTP/1.1" "id:152"
_M.endsWith = maker(function(value, text)
    if text == "" or sub(value, -#text) == text then
        return true, text
    end
    return false
end)

--- streq
-- Description: the value is the text.
-- Arguments: text, with macros.
-- Returns: the value.
-- Example: SecRule ARGS:foo "!@streq bar" "id:176"
_M.streq = maker(function(value, text)
    if value == text then
        return true, value
    end
    return false
end)

--- within
-- Description: the value is somewhere in the text: the other way round than @contains. The text is
-- searched as it is, so its items are best set apart by a byte that no value can have.
-- Arguments: text, with macros.
-- Returns: the value.
-- Example: SecRule REQUEST_METHOD "!@within GET,POST,HEAD" "id:180"
_M.within = maker(function(value, text)
    if find(text, value, 1, true) then
        return true, value
    end
    return false
end)

return _M
