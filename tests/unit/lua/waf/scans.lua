--- Scans many values in any LuaJIT, in loops that are compiled: `luajit scans.lua DATABASE`.
--
-- The database has `a+b`, `^c`, and `(?i)needle` under the numbers 1, 2 and 70000. One line a
-- value: whether any matches, and the numbers of those that do.

local hyperscan = require("bartizan.waf.hyperscan")

local _M = {}

local VALUES = { "", "ab", "xaabab", "c", "xc", "c ab", "NEEDLE c", "c needle ab", "a\0b", "\0ab" }
local TURNS = 500

function _M.run(path)
    local file = assert(io.open(path, "rb"))
    local db = assert(hyperscan.load(file:read("*a")))
    file:close()
    local lines, out = {}, {}
    -- Compiled while nothing matched, and so nothing called back, the loop meets a match.
    local values, hits = {}, 0
    for turn = 1, TURNS do
        values[turn] = turn < TURNS and "nothing" or "c ab"
    end
    for turn = 1, TURNS do
        hits = hits + db:ids(values[turn], out)
    end
    assert(hits == 2)
    for turn = 1, TURNS do
        for i, value in ipairs(VALUES) do
            local any, count = db:any(value), db:ids(value, out)
            local ids = {}
            for k = 1, count do
                ids[k] = out[k]
            end
            table.sort(ids)
            local line = tostring(any) .. " " .. table.concat(ids, ",")
            assert(turn == 1 or lines[i] == line, "another answer in a later turn")
            lines[i] = line
        end
    end
    return table.concat(lines, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find("scans.lua", 1, true) then
    io.write(_M.run(arg[1]))
end

return _M
