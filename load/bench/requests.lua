-- What wrk sends: `wrk -s requests.lua URL -- TEMPLATE START [VALUES]`.
--
-- TEMPLATE: a file with whole requests, which are sent in turn, a NUL between them. A "{*}" in one
--     is a word of nine letters, another one each time. Where there are VALUES, "{}" is a hole for
--     them.
-- START: how many requests were sent before, so that no two runs send the same.
-- VALUES: a file with what goes into the hole, one value a line. They are taken in turn, beginning
--     behind the first START ones.

local concat = table.concat
local random = math.random

-- Words are made of three of these, 15 million of them. No rule takes one for a command, as it
-- would "gccabcdef " in the place of a value (CRS 932250).
local syllables = {}
local values = {}
local next_value
-- Of each request its parts: a text, a function for a hole, a text, and so on.
local templates = {}
local next_template = 0

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

local function word()
    local n = #syllables
    return syllables[random(n)] .. syllables[random(n)] .. syllables[random(n)]
end

local function value()
    next_value = next_value % #values + 1
    return values[next_value]
end

-- Cuts a request at its holes. Returns its parts (texts, and functions for holes).
local function cut(text, has_values)
    local parts, from = {}, 1
    while true do
        local first, last, star = text:find("{(%*?)}", from)
        while first and star == "" and not has_values do
            first, last, star = text:find("{(%*?)}", last + 1)
        end
        if not first then
            parts[#parts + 1] = text:sub(from)
            return parts
        end
        parts[#parts + 1] = text:sub(from, first - 1)
        parts[#parts + 1] = star == "" and value or word
        from = last + 1
    end
end

function init(args)
    local start = tonumber(args[2])
    math.randomseed(start + 1)
    for first in ("bdhjkvz"):gmatch(".") do
        for second in ("aeiou"):gmatch(".") do
            for third in ("bdlmnrx"):gmatch(".") do
                syllables[#syllables + 1] = first .. second .. third
            end
        end
    end
    if args[3] then
        for line in read(args[3]):gmatch("[^\n]+") do
            values[#values + 1] = line
        end
        next_value = start % #values
    end
    for text in read(args[1]):gmatch("[^%z]+") do
        templates[#templates + 1] = cut(text, args[3] ~= nil)
    end
end

function request()
    next_template = next_template % #templates + 1
    local parts = templates[next_template]
    if #parts == 1 then
        return parts[1]
    end
    local filled = {}
    for i = 1, #parts do
        local part = parts[i]
        filled[i] = i % 2 == 1 and part or part()
    end
    return concat(filled)
end
