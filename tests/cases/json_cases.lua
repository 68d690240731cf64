--- Runs the cases of json.json, wherever there is a LuaJIT: `luajit json_cases.lua json.json`.
--
-- One line a case: its name, a tab, and the value in the notation of dump() or "refused: " and the
-- reason. What each must be is judged in Python, from the file as Python's json reads it.

local json = require("bartizan.json")

local _M = {}

local function hex(text)
    return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

--- Writes a decoded value so that nothing can be mistaken for something else.
function _M.dump(value)
    if value == json.null then
        return "null"
    elseif type(value) == "boolean" then
        return tostring(value)
    elseif type(value) == "string" then
        return "'" .. hex(value)
    elseif type(value) == "number" then
        return ("%.17g"):format(value)
    elseif json.is_array(value) then
        local items = {}
        for i = 1, #value do
            items[i] = _M.dump(value[i])
        end
        return "[" .. table.concat(items, ",") .. "]"
    elseif json.is_object(value) then
        local items = {}
        for name, item in pairs(value) do
            items[#items + 1] = hex(name) .. ":" .. _M.dump(item)
        end
        table.sort(items)
        return "{" .. table.concat(items, ",") .. "}"
    end
    assert(json.number(value), "a value of no kind")
    return "boxed " .. json.text(value)
end

--- Decodes a text and dumps what came of it.
function _M.outcome(text, limits)
    local value, err = json.decode(text, limits)
    if value == nil then
        return "refused: " .. err
    end
    assert(err == nil)
    return _M.dump(value)
end

--- The outcome of each case of a file.
function _M.run(path)
    local file = assert(io.open(path, "rb"))
    local cases = assert(json.decode(file:read("*a"), json.OWN_FILE)).cases
    file:close()
    local lines = {}
    for i, case in ipairs(cases) do
        local text = case.text or case.hex:gsub("%x%x", function(h)
            return string.char(tonumber(h, 16))
        end)
        lines[i] = case.name .. "\t" .. _M.outcome(text, case.limits)
    end
    return table.concat(lines, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find("json_cases.lua", 1, true) then
    io.write(_M.run(arg[1]))
end

return _M
