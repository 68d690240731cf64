std = "ngx_lua"
max_line_length = 100

-- The pure core takes strings and tables and returns values: there is no `ngx` in it.
local core = {
    "headers.lua", "jose", "json", "json.lua", "limits/bucket.lua", "limits/keys.lua",
    "limits/region.lua", "limits/slots.lua", "limits/sweep.lua", "ranges.lua", "redact.lua",
    "random.lua", "router.lua", "target.lua", "text.lua", "utf8.lua", "via.lua", "waf",
}
for _, name in ipairs(core) do
    files["lua/bartizan/" .. name] = { std = "luajit" }
end
-- Tests put stand-ins in the place of nginx's objects.
files["tests"] = { globals = { "ngx" }, self = false }
-- What wrk calls.
files["load/bench/requests.lua"] = { std = "luajit", globals = { "init", "request" } }
