--- The one JSON reader of everything that judges: tokens, key sets, bodies, the rendered settings.
--
-- Strict RFC 8259. What two readers could understand differently is refused: duplicate names
-- (section 4), invalid UTF-8 and a byte order mark (8.1), lone surrogates (8.2), anything after
-- the value, and every spelling that the grammar does not have (NaN, Infinity, 01, comments).
--
--     local json = require("bartizan.json")
--     local value, err = json.decode(text)                  -- within the bounds of json.TOKEN
--     local value, err = json.decode(text, json.OWN_FILE)   -- for files the gateway itself wrote
--     local value, err = json.decode(text, { depth = 20, count = 5000, exact = true })
--
-- How JSON's types arrive in Lua:
--
--     object        a table without a metatable    json.is_object(value)
--     array         a table marked as an array     json.is_array(value); #value, no holes
--     string        a string of valid UTF-8; NUL can be in it
--     true, false   true, false
--     null          json.null, which is true in a condition: compare with ==
--     number        a number, or, where that would not be what was written, a boxed number:
--                   json.number(value) gives its value, json.text(value) its text
--
-- A boxed number is a table {value = …, text = "…"}. By default only what a double cannot hold is
-- boxed: integers from 2^53 on, 1e400 (value: inf), 1e-400 (value: 0). With `exact` everything is
-- boxed whose text tostring() would not give back (1.0, 1e2). So type(x) == "number" means an
-- ordinary finite number, and a check for it fails closed on all others.

local numbers = require("bartizan.json.numbers")
local strings = require("bartizan.json.strings")

local byte = string.byte
local error = error
local format = string.format
local getmetatable = getmetatable
local read_number = numbers.read
local read_string = strings.read
local setmetatable = setmetatable
local sub = string.sub
local type = type

local _M = {
    --- Bounds: `depth` of nesting, `count` of values (elements included), `exact` as said above.
    TOKEN = { depth = 8, count = 1000, exact = false },
    OWN_FILE = { depth = 32, count = 50000000, exact = false },
    number = numbers.value,
    text = numbers.text,
}

-- A userdata: by type() it is never mistaken for one of JSON's other types.
local null = newproxy(true)
getmetatable(null).__tostring = function() return "null" end
_M.null = null

local Array = {}

local QUOTE, COMMA, COLON = 0x22, 0x2C, 0x3A
local ARRAY_OPEN, ARRAY_CLOSE, OBJECT_OPEN, OBJECT_CLOSE = 0x5B, 0x5D, 0x7B, 0x7D
local LOWER_F, LOWER_N, LOWER_T = 0x66, 0x6E, 0x74

-- The one decode under way. Reading never yields, so no second one can begin before it ends; this
-- keeps the functions below free of closures and short in arguments. Each of them returns its
-- value and the position after it, or nil and nil with `failure` and `failed_at` set.
local text, max_depth, budget, exact, failure, failed_at

local function fail(reason, pos)
    failure, failed_at = reason, pos
    return nil, nil
end

-- The next position that is no white space (RFC 8259 section 2), and the byte there.
local function skip_space(pos)
    local b = byte(text, pos)
    while b == 0x20 or b == 0x0A or b == 0x0D or b == 0x09 do
        pos = pos + 1
        b = byte(text, pos)
    end
    return pos, b
end

local read_value

-- `pos` is after the opening bracket.
local function read_array(pos, depth)
    local array, n = setmetatable({}, Array), 0
    local b
    pos, b = skip_space(pos)
    if b == ARRAY_CLOSE then
        return array, pos + 1
    end
    while true do
        local value
        value, pos = read_value(pos, b, depth)
        if not pos then
            return nil, nil
        end
        n = n + 1
        array[n] = value
        pos, b = skip_space(pos)
        if b == COMMA then
            pos, b = skip_space(pos + 1)
        elseif b == ARRAY_CLOSE then
            return array, pos + 1
        else
            return fail("expected , or ]", pos)
        end
    end
end

-- `pos` is after the opening brace.
local function read_object(pos, depth)
    local object = {}
    local b
    pos, b = skip_space(pos)
    if b == OBJECT_CLOSE then
        return object, pos + 1
    end
    while true do
        if b ~= QUOTE then
            return fail("expected a name in quotes", pos)
        end
        local name_at = pos
        local name, after, reason, where = read_string(text, pos + 1)
        if not after then
            return fail(reason, where)
        end
        -- RFC 8259 section 4: readers differ on which of two equal names counts.
        if object[name] ~= nil then
            return fail("duplicate name", name_at)
        end
        pos, b = skip_space(after)
        if b ~= COLON then
            return fail("expected :", pos)
        end
        pos, b = skip_space(pos + 1)
        local value
        value, pos = read_value(pos, b, depth)
        if not pos then
            return nil, nil
        end
        object[name] = value
        pos, b = skip_space(pos)
        if b == COMMA then
            pos, b = skip_space(pos + 1)
        elseif b == OBJECT_CLOSE then
            return object, pos + 1
        else
            return fail("expected , or }", pos)
        end
    end
end

-- `b` is the byte at `pos`, nil at the end; `depth` is that of what surrounds the value.
function read_value(pos, b, depth)
    budget = budget - 1
    if budget < 0 then
        return fail("too many values", pos)
    elseif b == OBJECT_OPEN or b == ARRAY_OPEN then
        if depth == max_depth then
            return fail("nested too deep", pos)
        elseif b == OBJECT_OPEN then
            return read_object(pos + 1, depth + 1)
        end
        return read_array(pos + 1, depth + 1)
    elseif b == LOWER_T and sub(text, pos, pos + 3) == "true" then
        return true, pos + 4
    elseif b == LOWER_F and sub(text, pos, pos + 4) == "false" then
        return false, pos + 5
    elseif b == LOWER_N and sub(text, pos, pos + 3) == "null" then
        return null, pos + 4
    end
    local value, after, reason, where
    if b == QUOTE then
        value, after, reason, where = read_string(text, pos + 1)
    else
        value, after, reason, where = read_number(text, pos, exact)
    end
    if not after then
        return fail(reason, where)
    end
    return value, after
end

--- Reads one JSON text.
-- @param source string: the whole text
-- @param limits table|nil: {depth, count, exact}, all three; json.TOKEN when nil
-- @return the value (see the head of this file; false is a value: compare with nil)
-- @return nil, string: why the text is refused, and at which byte; never a part of the text itself
function _M.decode(source, limits)
    if type(source) ~= "string" then
        error("json.decode: expected a string, got " .. type(source), 2)
    end
    limits = limits or _M.TOKEN
    text, max_depth, budget, exact = source, limits.depth, limits.count, limits.exact
    local start, first = skip_space(1)
    local value, after = read_value(start, first, 0)
    if after then
        local pos, b = skip_space(after)
        if b then
            value, after = fail("something after the value", pos)
        end
    end
    text = ""                           -- it can be a body of megabytes: not kept alive
    if after then
        return value
    elseif failed_at > #source then
        return nil, "the text ends too early"
    end
    return nil, format("%s at byte %d", failure, failed_at)
end

--- Whether a decoded value is an array.
function _M.is_array(value)
    return getmetatable(value) == Array
end

--- Whether a decoded value is an object.
function _M.is_object(value)
    return type(value) == "table" and getmetatable(value) == nil
end

return _M
