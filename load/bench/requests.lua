-- What wrk sends: `wrk -s requests.lua URL -- TEMPLATE [VALUES START]`.
--
-- TEMPLATE: a file with a whole request; "{}" in it, if it is there, is a hole.
-- VALUES: a file with what goes into the hole, one value a line. They are taken in turn, beginning
--     behind the first START ones, so that no two runs need begin with the same.

local next_value = 0
local values = {}
local before, after

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

function init(args)
    local text = read(args[1])
    local first, last = text:find("{}", 1, true)
    if not first then
        before = text
        function request()
            return before
        end
        return
    end
    before, after = text:sub(1, first - 1), text:sub(last + 1)
    for value in read(args[2]):gmatch("[^\n]+") do
        values[#values + 1] = value
    end
    next_value = tonumber(args[3]) % #values
end

function request()
    next_value = next_value + 1
    local value = values[next_value]
    if not value then
        next_value = 1
        value = values[1]
    end
    return before .. value .. after
end
