--- Runs the cases of transformations.json in any LuaJIT: `luajit transformations_cases.lua FILE`.
--
-- One line a case: the transformation, the text and what came out, or "chain", a number, the result
-- and each form; texts in hexadecimal digits. What each must be is judged in Python.

local classes = require("bartizan.waf.classes")
local json = require("bartizan.json")
local transformations = require("bartizan.waf.transformations")

local _M = {}

local function hex(text)
    return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- A character of the file is a byte: those from U+0080 to U+00FF are two in its UTF-8.
local function bytes(text)
    return (text:gsub("([\194\195])([\128-\191])", function(lead, tail)
        return string.char((lead:byte() - 192) * 64 + tail:byte() - 128)
    end))
end

--- The outcome of each case of a file.
function _M.run(path)
    local file = assert(io.open(path, "rb"))
    local cases = assert(json.decode(file:read("*a"), json.OWN_FILE))
    file:close()
    local lines = {}
    local names = {}
    for name in pairs(cases.transformations) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        for _, case in ipairs(cases.transformations[name]) do
            local outcome = transformations[name].apply(bytes(case[1]))
            lines[#lines + 1] = table.concat({ name, hex(bytes(case[1])), hex(outcome) }, "\t")
        end
    end
    for i, case in ipairs(cases.chains) do
        local chain = transformations.chain(case.names)
        local text = bytes(case["in"])
        local mask = classes.of(text)
        local forms = transformations.steps(chain, text, mask)
        for k, form in ipairs(forms) do
            forms[k] = hex(form)
        end
        local outcome = hex(transformations.run(chain, text, mask))
        lines[#lines + 1] = table.concat({ "chain", i - 1, outcome, unpack(forms) }, "\t")
    end
    return table.concat(lines, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find("transformations_cases.lua", 1, true) then
    io.write(_M.run(arg[1]))
end

return _M
