--- JSON bodies: each value is an argument, named by the way to it.
--
-- The grammar is that of bartizan.json (RFC 8259, strictly), whose readers of strings and numbers
-- this shares; the tests hold the two to the same texts. But no table is built: values go straight
-- into the arguments, in the order of the text, and what was read before a mistake or the end of a
-- cut text is there to be inspected.
--
-- Names are libmodsecurity 3.0.9's:
--
--     {"a": 1, "b": [true, {"c": null}]}      json.a = 1
--                                             json.b.array_0 = true
--                                             json.b.array_1.c = (empty)
--     "text"                                  json = text
--     {"": 5}                                 json.empty-key = 5
--
-- Numbers are as they were written. An empty object or array is an argument with an empty value,
-- though libmodsecurity has none, for its name would be inspected nowhere; at the top it has no
-- name of its own.

local numbers = require("bartizan.json.numbers")
local strings = require("bartizan.json.strings")

local ffi = require("ffi")
local clear = require("table.clear")

local cast = ffi.cast
local ffi_string = ffi.string
local format = string.format
local min = math.min
local read_number = numbers.read
local read_string = strings.read
local sub = string.sub

local _M = {
    -- A name holds all names around it, so names could outgrow the text by far; so many bytes of
    -- names there may be altogether.
    NAME_BYTES = 1048576,
}

local NAME_BYTES = _M.NAME_BYTES

local QUOTE, COMMA, COLON = 0x22, 0x2C, 0x3A
local ARRAY_OPEN, ARRAY_CLOSE, OBJECT_OPEN, OBJECT_CLOSE = 0x5B, 0x5D, 0x7B, 0x7D
local LOWER_F, LOWER_N, LOWER_T = 0x66, 0x6E, 0x74

local bytes_of = ffi.typeof("const uint8_t *")

-- How an element's name goes on behind its array's.
local ELEMENT = {}
for i = 0, 999 do
    ELEMENT[i] = ".array_" .. i
end

-- The one read under way: reading never yields.
local bytes                             -- behind the text there is a zero byte
local names, values, n                  -- the arguments
local most, room                        -- how many there may be; bytes that are left for names
local why, sentence, failed_at          -- set by what fails

-- The containers around the value that is read, outermost first: what they are called, how many
-- elements they have so far (false: an object), and by which number their names are known.
local paths, counts, marks = {}, {}, {}
-- By depth, the names of the object there: the mark of the object that had the name last.
local known = {}
local deepest                           -- how deep this text goes

local function fail(reason, pos)
    why, sentence, failed_at = "malformed", reason, pos
    return nil
end

local function exceed(kind, reason)
    why, sentence, failed_at = kind, reason, nil
    return nil
end

local function add(name, value)
    if n >= most then
        return exceed("too_many", format("more than %d arguments", most))
    end
    n = n + 1
    names[n], values[n] = name, value
    return true
end

-- The name, when there is room for it.
local function admit(name)
    room = room - #name
    if room < 0 then
        return exceed("too_many", format("more than %d bytes of names", NAME_BYTES))
    end
    return name
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

-- Reads a value that is neither array nor object. Returns it as text, and the position after it.
local function read_scalar(pos, b)
    if b == QUOTE then
        local value, after, reason, where = read_string(bytes, pos + 1)
        if not after then
            return fail(reason, where)
        end
        return value, after
    elseif b == LOWER_T and bytes[pos + 1] == 0x72 and bytes[pos + 2] == 0x75
        and bytes[pos + 3] == 0x65
    then
        return "true", pos + 4
    elseif b == LOWER_F and bytes[pos + 1] == 0x61 and bytes[pos + 2] == 0x6C
        and bytes[pos + 3] == 0x73 and bytes[pos + 4] == 0x65
    then
        return "false", pos + 5
    elseif b == LOWER_N and bytes[pos + 1] == 0x75 and bytes[pos + 2] == 0x6C
        and bytes[pos + 3] == 0x6C
    then
        return "", pos + 4
    end
    local _, after, reason, where = read_number(bytes, pos, false)
    if not after then
        return fail(reason, where)
    end
    return ffi_string(bytes + pos, after - pos), after
end

-- Reads a member's name, which `b` at `pos` should begin. Returns the argument's name, the position
-- of the value and the byte there.
local function read_name(depth, pos, b)
    if b ~= QUOTE then
        return fail("expected a name in quotes", pos)
    end
    local key, after, reason, where = read_string(bytes, pos + 1)
    if not after then
        return fail(reason, where)
    end
    local of_depth, mark = known[depth], marks[depth]
    -- RFC 8259 section 4: readers differ on which of two equal names counts.
    if of_depth[key] == mark then
        return fail("duplicate name", pos)
    end
    of_depth[key] = mark
    pos, b = skip_space(after)
    if b ~= COLON then
        return fail("expected :", pos)
    end
    local name = admit(paths[depth] .. "." .. (key == "" and "empty-key" or key))
    if not name then
        return nil
    end
    pos, b = skip_space(pos + 1)
    return name, pos, b
end

-- What was being read, for a text that was cut off there.
local reading_depth, reading_name, reading_from

-- Reads the value that begins at `pos`, and all in it. Returns the position after it; or nil.
local function read_value(pos, b, max_depth)
    local depth, serial, name, count = 0, 0, "json", nil
    while true do
        reading_depth, reading_name, reading_from = depth, name, pos
        local entered = false
        if b == OBJECT_OPEN or b == ARRAY_OPEN then
            if depth == max_depth then
                return exceed("too_deep", format("nested deeper than %d levels", max_depth))
            end
            local is_array = b == ARRAY_OPEN
            pos, b = skip_space(pos + 1)
            if b == (is_array and ARRAY_CLOSE or OBJECT_CLOSE) then
                if depth > 0 and not add(name, "") then
                    return nil
                end
                pos = pos + 1
            else
                entered = true
                counts[depth] = count
                depth, serial = depth + 1, serial + 1
                paths[depth], marks[depth] = name, serial
                count = is_array and 0
                if depth > deepest then
                    deepest = depth
                    known[depth] = known[depth] or {}
                end
            end
        else
            local value, after = read_scalar(pos, b)
            if not value or not add(name, value) then
                return nil
            end
            pos = after
        end
        if not entered then
            reading_from = nil
            pos, b = skip_space(pos)
            while depth > 0 and b == (count and ARRAY_CLOSE or OBJECT_CLOSE) do
                depth = depth - 1
                count = counts[depth]
                pos, b = skip_space(pos + 1)
            end
            if depth == 0 then
                return pos
            elseif b ~= COMMA then
                return fail(count and "expected , or ]" or "expected , or }", pos)
            end
            pos, b = skip_space(pos + 1)
        end
        if count then
            name = admit(paths[depth] .. (ELEMENT[count] or ".array_" .. count))
            count = count + 1
            if not name then
                return nil
            end
        else
            reading_depth, reading_name, reading_from = depth, nil, pos
            name, pos, b = read_name(depth, pos, b)
            if not name then
                return nil
            end
        end
    end
end

-- A text that was cut may end in an escape sequence (a surrogate pair is the longest) or in the
-- middle of a character.
local LONGEST_ESCAPE = 12

-- What there is of a string whose end was cut off; `from` is the position of its first character.
local function read_rest(text, from)
    local length = #text
    for missing = 0, min(LONGEST_ESCAPE, length - from) do
        local rest = sub(text, from + 1, length - missing) .. '"'
        local value, after = read_string(cast(bytes_of, rest), 0)
        if value and after == #rest then
            return value
        end
    end
    return sub(text, from + 1)
end

-- Adds what was being read when the text ended: it is cut, but there to be inspected.
local function add_rest(text)
    local from = reading_from
    if not from then
        return
    end
    local value
    if bytes[from] == QUOTE then
        value = read_rest(text, from + 1)
    else
        value = sub(text, from + 1)
    end
    if reading_name then
        add(reading_name, value)
    elseif bytes[from] == QUOTE then
        local name = admit(paths[reading_depth] .. "." .. value)
        if name then
            add(name, "")
        end
    end
end

--- Reads a text and puts its values behind the arguments that are there.
-- @param text string: the body, or its beginning
-- @param to_names table, to_values table, count number: the arguments so far
-- @param limits table: {arguments = how many there may be altogether, depth = of nesting}
-- @param cut boolean: the text goes on where this one ends: that it ends too early is no mistake
-- @return number: how many arguments there are now
-- @return number, string, string: and why the text was not read whole: "malformed", "too_deep" or
--   "too_many", and a sentence, which has nothing of the text
function _M.read(text, to_names, to_values, count, limits, cut)
    bytes = cast(bytes_of, text)
    names, values, n = to_names, to_values, count
    most, room = limits.arguments, NAME_BYTES
    local length = #text
    why, deepest = nil, 0
    local pos, b = skip_space(0)
    local after = read_value(pos, b, limits.depth)
    if after and after < length then
        fail("something after the value", after)
    elseif why == "malformed" and cut and failed_at >= length - LONGEST_ESCAPE then
        why = nil
        add_rest(text)
    elseif why == "malformed" and failed_at >= length then
        sentence, failed_at = "the text ends too early", nil
    end
    for depth = 1, deepest do
        clear(known[depth])             -- nothing of the text is kept alive
        paths[depth] = false
    end
    reading_name = nil
    if not why then
        return n
    elseif failed_at then
        sentence = format("%s at byte %d", sentence, failed_at + 1)
    end
    return n, why, sentence
end

return _M
