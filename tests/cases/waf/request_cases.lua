--- Runs the cases of requests.json in any LuaJIT: `luajit request_cases.lua requests.json`.
--
-- One line an expectation: the case's name, what was asked for, and what was there, in hexadecimal.
-- What must be there is judged in Python.

local collect = require("bartizan.waf.collect")
local json = require("bartizan.json")

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

--- The transaction of a request.
-- @param request table: {method, target, fields = {{name, value}…}, body, limits}, all but target
--   perhaps nil
-- @param used table|nil: a transaction to use again
function _M.collect(request, used)
    local names, values = {}, {}
    for i, field in ipairs(request.fields or {}) do
        names[i], values[i] = bytes(field[1]), bytes(field[2])
    end
    local t = collect.head({
        method = request.method or "GET", target = bytes(request.target or "/"),
        protocol = "HTTP/1.1", names = names, values = values, count = #names,
        address = "192.0.2.7", port = 1234, server_address = "192.0.2.1", server_port = 443,
        id = "00ff", time = 1700000000,
    }, used)
    local limits = request.limits or {}
    limits.window = limits.window or 131072
    return collect.body(t, request.body and bytes(request.body), limits)
end

--- What a transaction holds under a name: members as hexadecimal name=value.
local function held(t, name)
    local verdict = name == "body" and t.body or name == "head" and t.head
    if verdict then
        return hex(table.concat({ verdict.complete, verdict.why, verdict.error }, ": "))
    elseif not collect.COLLECTIONS[name] then
        assert(collect.SCALARS[name], name)
        local value = t.scalars[name]
        return value and hex(value) or "nil"
    end
    local collection, members = t.collections[name], {}
    for i = 1, collection.n do
        members[i] = hex(collection.names[i]) .. "=" .. hex(collection.values[i])
    end
    return table.concat(members, " ")
end
_M.held = held

--- The outcome of each case of a file, with a transaction that is used again and again.
function _M.run(path)
    local file = assert(io.open(path, "rb"))
    local cases = assert(json.decode(file:read("*a"), json.OWN_FILE)).cases
    file:close()
    local lines, used = {}, nil
    for _, case in ipairs(cases) do
        local repeated = case.request.repeated
        if repeated then
            case.request[repeated.field] = (case.request[repeated.field] or "")
                .. repeated.text:rep(repeated.times)
        end
        used = _M.collect(case.request, used)
        for name in pairs(case.expect) do
            lines[#lines + 1] = table.concat({ case.name, name, held(used, name) }, "\t")
        end
    end
    return table.concat(lines, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find("request_cases.lua", 1, true) then
    io.write(_M.run(arg[1]))
end

return _M
