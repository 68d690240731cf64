--- Reads key sets, wherever there is a LuaJIT: `luajit keyset_cases.lua FILE`.
--
-- The file is made for one run, with fresh keys: {sets = [{name, text, algorithms}]}. One line a
-- set: its name, a tab, and "taken: kid=alg …" or "refused: " and the reason.

local json = require("bartizan.json")
local keyset = require("bartizan.jose.keyset")

local _M = {}

--- The outcome of each set of a run.
function _M.run(text)
    local lines = {}
    for i, case in ipairs(assert(json.decode(text, json.OWN_FILE)).sets) do
        local keys, err = keyset.parse(case.text, case.algorithms)
        local outcome = "refused: " .. (err or "")
        if keys then
            local names = {}
            for kid, key in pairs(keys) do
                assert(key.kid == kid)
                names[#names + 1] = kid .. "=" .. key.alg
            end
            table.sort(names)
            outcome = "taken: " .. table.concat(names, " ")
        end
        lines[i] = case.name .. "\t" .. outcome
    end
    return table.concat(lines, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find("keyset_cases.lua", 1, true) then
    local file = assert(io.open(arg[1], "rb"))
    io.write(_M.run(file:read("*a")))
    file:close()
end

return _M
