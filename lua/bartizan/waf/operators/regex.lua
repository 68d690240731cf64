--- Operators that match a regular expression. See bartizan.waf.pcre2 for what one means here.

local pcre2 = require("bartizan.waf.pcre2")

local captures_of = pcre2.captures
local error = error
local new_regex = pcre2.new
local sub = string.sub

local _M = {}

-- TX:0 to TX:9, as the manual has it.
local LAST = 9

-- Patterns that macros made are kept: of one operator so many, none that is longer. A new one takes
-- the place of the oldest. Lua's collector does not know how much memory a pattern holds, so what
-- is not kept is freed at once.
local KEPT, LONGEST_KEPT = 16, 1024

local function keep(op, pattern, regex)
    local place = op.next
    local oldest = op.order[place]
    if oldest then
        op.kept[oldest]:free()
        op.kept[oldest] = nil
    end
    op.kept[pattern], op.order[place], op.next = regex, pattern, place % KEPT + 1
end

local function check_expanded(op, value, argument, captures)
    local regex = op.kept[argument]
    if regex then
        return op.match(regex, value, captures)
    end
    local err
    regex, err = new_regex(argument)
    if not regex then
        return nil, err
    end
    if #argument <= LONGEST_KEPT then
        keep(op, argument, regex)
        return op.match(regex, value, captures)
    end
    local matches, text = op.match(regex, value, captures)
    regex:free()
    return matches, text
end

local function check_constant(op, value, _, captures)
    return op.match(op.regex, value, captures)
end

local function maker(match)
    return function(op, pattern)
        op.match = match
        if not pattern then
            op.kept, op.order, op.next = {}, {}, 1
            op.check = check_expanded
            return
        end
        local regex, err = new_regex(pattern)
        if not regex then
            error(err, 0)
        end
        op.regex, op.check = regex, check_constant
    end
end

--- rx
-- Description: the value matches the regular expression somewhere.
-- Arguments: a pattern, with macros.
-- Returns: what matched first; captures it as TX:0 and its groups as TX:1 to TX:9. A group that
-- took no part leaves its TX as it was.
-- Example: SecRule REQUEST_HEADERS:User-Agent "@rx (?i)nikto" "id:173"
_M.rx = maker(function(regex, value, captures)
    local first, last = regex:find(value, 0)
    if not first then
        return first, last
    end
    if captures then
        captures_of(value, captures, 0, LAST)
    end
    return true, sub(value, first + 1, last)
end)

--- rxGlobal
-- Description: the value matches the regular expression somewhere; all matches are captured.
-- Arguments: a pattern, with macros.
-- Returns: what matched first; captures each match and its groups one behind the other, up to TX:9:
-- with (a)(b), TX:0 to TX:2 are the first match and TX:3 to TX:5 the second.
-- Example: SecRule ARGS "@rxGlobal ([a-z])(\d)" "id:174,capture"
_M.rxGlobal = maker(function(regex, value, captures)
    local first, last = regex:find(value, 0)
    if not first then
        return first, last
    end
    local text = sub(value, first + 1, last)
    if not captures then
        return true, text
    end
    local number = captures_of(value, captures, 0, LAST)
    while number <= LAST do
        -- What matched without a byte would match there for ever.
        local from = last > first and last or last + 1
        if from > #value then
            break
        end
        first, last = regex:find(value, from)
        if first == nil then
            return nil, last
        elseif not first then
            break
        end
        number = captures_of(value, captures, number, LAST)
    end
    return true, text
end)

return _M
