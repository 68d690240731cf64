--- Runs the cases of operators.json in any LuaJIT: `luajit operator_cases.lua operators.json`.
--
-- One line a case: what the operator said. What it must say is judged in Python.

local json = require("bartizan.json")
local operators = require("bartizan.waf.operators")

local _M = {}

-- A file of cases is UTF-8 and has bytes as the characters U+0000 to U+00FF.
local function bytes(text)
    return (text:gsub("([\194\195])([\128-\191])", function(lead, tail)
        return string.char((lead:byte() - 194) * 64 + tail:byte())
    end))
end

local function hex(text)
    return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

--- What an operator says of a value, in one line.
-- @param op table
-- @param value string
-- @param argument string|nil: the expanded argument
function _M.answer(op, value, argument)
    local captures = {}
    local matches, text = op.check(op, value, argument, captures)
    if matches == nil then
        return "error: " .. text
    elseif not matches then
        assert(next(captures) == nil, "captures without a match")
        return "false"
    end
    local line = "true " .. hex(text)
    for i = 0, 9 do
        if captures[i] then
            line = line .. " " .. i .. "=" .. hex(captures[i])
            captures[i] = nil
        end
    end
    assert(next(captures) == nil, "a capture beyond the tenth")
    -- Who does not capture hears the same.
    local again, same = op.check(op, value, argument)
    assert(again == true and same == text, "another answer without captures")
    return line
end

--- Makes the operator of a case, or says why there is none.
function _M.make(name, argument, entries)
    return pcall(operators.new, { name = name, argument = argument, entries = entries })
end

--- The lines of a file's cases.
function _M.run(path)
    local file = assert(io.open(path, "rb"))
    local all = assert(json.decode(file:read("*a"), json.OWN_FILE))
    file:close()
    local lines = {}
    for _, asked in ipairs(all.operators) do
        local argument = asked.argument and bytes(asked.argument)
        local entries = asked.entries
        if entries then
            for i = 1, #entries do
                entries[i] = bytes(entries[i])
            end
        end
        local made, op = _M.make(asked.name, { argument }, entries)
        for _, case in ipairs(asked.cases) do
            lines[#lines + 1] = made and _M.answer(op, bytes(case.value)) or "refused: " .. op
        end
        if asked.macros then
            local _, late = _M.make(asked.name, { { name = "TX", key = "x" } })
            for _, case in ipairs(asked.cases) do
                lines[#lines + 1] = _M.answer(late, bytes(case.value), argument)
            end
        end
    end
    for _, refused in ipairs(all.refused) do
        local parts = refused.macros and { "a", { name = "TX", key = "x" } } or { refused.argument }
        local made, err = _M.make(refused.name, parts, refused.entries)
        lines[#lines + 1] = made and "made" or err
    end
    return table.concat(lines, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find("operator_cases.lua", 1, true) then
    io.write(_M.run(arg[1]))
end

return _M
