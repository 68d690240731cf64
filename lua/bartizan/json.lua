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
--     local value, err = json.read(bytes, length, json.TOKEN)  -- in memory, before a zero byte
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

local ffi = require("ffi")
local new_table = require("table.new")

local cast = ffi.cast
local error = error
local format = string.format
local getmetatable = getmetatable
local read_number = numbers.read
local read_string = strings.read
local setmetatable = setmetatable
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

-- The one read under way. Reading never yields, so no second one can begin before it ends.
local bytes                             -- const uint8_t *, with a zero byte behind the text
local failure, failed_at                -- set by what returns no position

local function fail(reason, pos)
    failure, failed_at = reason, pos
    return nil, nil
end

-- The next position that is no white space (RFC 8259 section 2), and the byte there.
local function skip_space(pos)
    local b = bytes[pos]
    while b == 0x20 or b == 0x0A or b == 0x0D or b == 0x09 do
        pos = pos + 1
        b = bytes[pos]
    end
    return pos, b
end

-- Reads a value that is neither array nor object; `b` is the byte at `pos`.
local function read_scalar(pos, b, exact)
    local value, after, reason, where
    if b == QUOTE then
        value, after, reason, where = read_string(bytes, pos + 1)
    elseif b == LOWER_T and bytes[pos + 1] == 0x72 and bytes[pos + 2] == 0x75
        and bytes[pos + 3] == 0x65
    then
        return true, pos + 4
    elseif b == LOWER_F and bytes[pos + 1] == 0x61 and bytes[pos + 2] == 0x6C
        and bytes[pos + 3] == 0x73 and bytes[pos + 4] == 0x65
    then
        return false, pos + 5
    elseif b == LOWER_N and bytes[pos + 1] == 0x75 and bytes[pos + 2] == 0x6C
        and bytes[pos + 3] == 0x6C
    then
        return null, pos + 4
    else
        value, after, reason, where = read_number(bytes, pos, exact)
    end
    if not after then
        return fail(reason, where)
    end
    return value, after
end

-- Reads a member's name, which `b` at `pos` should begin. Returns it, the position of its value,
-- and the byte there; or nil.
local function read_name(object, pos, b)
    if b ~= QUOTE then
        return fail("expected a name in quotes", pos)
    end
    local name, after, reason, where = read_string(bytes, pos + 1)
    if not after then
        return fail(reason, where)
    -- RFC 8259 section 4: readers differ on which of two equal names counts.
    elseif object[name] ~= nil then
        return fail("duplicate name", pos)
    end
    pos, b = skip_space(after)
    if b ~= COLON then
        return fail("expected :", pos)
    end
    pos, b = skip_space(pos + 1)
    return name, pos, b
end

-- Room for as many members as most objects have: a table that grows is built anew each time.
local MEMBERS = 8

-- The containers around the one that is being read, outermost first, and how many elements each has
-- so far (false: an object). At 0, what keeps the text alive.
local containers, counts = {}, {}

-- Reads the value at `pos`, whose first byte is `b`, and what is in it: a turn of the one loop for
-- each value, which LuaJIT makes one trace of, with a side trace for each kind of value.
local function read_value(pos, b, limits)
    local max_depth, budget, exact = limits.depth, limits.count, limits.exact
    local depth = 0
    -- Where the value at hand goes: container[key]; count is false in an object.
    local container, count, key = {}, 1, 1
    local root = container
    while true do
        budget = budget - 1
        if budget < 0 then
            return fail("too many values", pos)
        end
        local value, entered
        if b == OBJECT_OPEN or b == ARRAY_OPEN then
            if depth == max_depth then
                return fail("nested too deep", pos)
            end
            local is_array = b == ARRAY_OPEN
            local closing = is_array and ARRAY_CLOSE or OBJECT_CLOSE
            pos, b = skip_space(pos + 1)
            entered = b ~= closing
            if is_array then
                value = setmetatable({}, Array)
            else
                value = entered and new_table(0, MEMBERS) or {}
            end
            container[key] = value
            if entered then
                depth = depth + 1
                containers[depth], counts[depth] = container, count
                container, count = value, is_array and 0
            else
                pos = pos + 1
            end
        else
            value, pos = read_scalar(pos, b, exact)
            if not pos then
                return nil, nil
            end
            container[key] = value
        end
        if not entered then
            pos, b = skip_space(pos)
            while depth > 0 and b == (count and ARRAY_CLOSE or OBJECT_CLOSE) do
                container, count = containers[depth], counts[depth]
                containers[depth] = false
                depth = depth - 1
                pos, b = skip_space(pos + 1)
            end
            if depth == 0 then
                return root[1], pos
            elseif b ~= COMMA then
                return fail(count and "expected , or ]" or "expected , or }", pos)
            end
            pos, b = skip_space(pos + 1)
        end
        if count then
            count = count + 1
            key = count
        else
            key, pos, b = read_name(container, pos, b)
            if not pos then
                return nil, nil
            end
        end
    end
end

--- Reads one JSON text in memory.
-- @param source cdata: const uint8_t *, with a zero byte behind the text
-- @param length number: of the text, without that byte
-- @param limits table: {depth, count, exact}, all three
-- @return the value (see the head of this file; false is a value: compare with nil)
-- @return nil, string: why the text is refused, and at which byte; never a part of the text itself
function _M.read(source, length, limits)
    bytes = source
    local start, first = skip_space(0)
    local value, after = read_value(start, first, limits)
    if after == length then
        return value
    elseif after then
        failure, failed_at = "something after the value", after
    end
    for depth = 1, limits.depth do
        containers[depth] = false       -- nothing is kept alive
    end
    if failed_at >= length then
        return nil, "the text ends too early"
    end
    return nil, format("%s at byte %d", failure, failed_at + 1)
end

local bytes_of = ffi.typeof("const uint8_t *")

--- Reads one JSON text.
-- @param source string: the whole text
-- @param limits table|nil: json.TOKEN when nil
-- @return as `read` does
function _M.decode(source, limits)
    if type(source) ~= "string" then
        error("json.decode: expected a string, got " .. type(source), 2)
    end
    -- A pointer into a string is no reference to it.
    containers[0] = source
    local value, err = _M.read(cast(bytes_of, source), #source, limits or _M.TOKEN)
    containers[0] = false               -- it can be a body of megabytes
    if value == nil then
        return nil, err
    end
    return value
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
