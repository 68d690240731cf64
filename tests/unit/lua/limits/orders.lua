-- Every order of two workers' steps, by the model, under Debian's own LuaJIT. Prints a line each
-- for a bucket and for slots: how many orders, the least and the most granted, the most inside
-- at once.

local model = require "unit.lua.limits.model"

local function report(name, job, steps, key)
    print(name, model.every({ { job }, { job } }, steps, key))
end

report("bucket", { job = "take", key = "bucket", interval = 100, depth = 100 }, 8, "bucket")
report("slots", { job = "enter", key = "slots", limit = 1 }, 9, "slots")
