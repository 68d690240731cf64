--- The operator's own listener: /metrics, /status and /readyz.

local exposition = require("bartizan.exposition")
local quote = require("bartizan.quote")
local worker = require("bartizan.worker")

local concat = table.concat
local date = os.date
local format = string.format
local ipairs = ipairs
local pairs = pairs
local sort = table.sort
local tostring = tostring
local type = type

local ngx = ngx
local ngx_time = ngx.time
local print = ngx.print
local var = ngx.var

local _M = {}

local settings, issuers
local pages = {}

local function sorted_names(value)
    local names = {}
    for name in pairs(value) do
        names[#names + 1] = name
    end
    sort(names)
    return names
end

local function is_flat(value)
    for _, item in pairs(value) do
        if type(item) == "table" then
            return false
        end
    end
    return true
end

-- Writes JSON as a person reads it: names in order, a line for each member but where all are plain.
-- Tables here are arrays or objects, never empty ones.
local function write(value, indent)
    if type(value) == "string" then
        return quote(value)
    elseif type(value) == "number" and value % 1 ~= 0 then
        return format("%.3f", value)
    elseif type(value) ~= "table" then
        return tostring(value)
    end
    local parts, inner = {}, indent .. "  "
    local opening, closing = "[", "]"
    if value[1] ~= nil then
        for i, item in ipairs(value) do
            parts[i] = write(item, inner)
        end
    else
        opening, closing = "{", "}"
        for i, name in ipairs(sorted_names(value)) do
            parts[i] = quote(name) .. ": " .. write(value[name], inner)
        end
    end
    if is_flat(value) then
        return opening .. concat(parts, ", ") .. closing
    end
    return opening .. "\n" .. inner .. concat(parts, ",\n" .. inner) .. "\n" .. indent .. closing
end

local function send(value)
    ngx.header["Content-Type"] = "application/json"
    print(write(value, ""), "\n")
end

--- Notes what there is to show. Runs once, in the master.
function _M.init(loaded, shared)
    settings, issuers = loaded, shared.issuers
    exposition.init(loaded, shared)
end

pages["/metrics"] = exposition.run

-- 200 only where this very generation serves: a reload is done when its new workers all answer.
pages["/readyz"] = function()
    local serving, wanted = worker.serving()
    local ready = serving == wanted
    ngx.status = ready and 200 or 503
    send({ ready = ready, generation = settings.generation,
           workers = { serving = serving, wanted = wanted } })
end

local function routes()
    local shown = {}
    for i, route in ipairs(settings.routes) do
        local guards = {}
        for j, step in ipairs(route.steps) do
            guards[j] = { guard = step.name, mode = step.mode }
        end
        shown[i] = { name = route.name, key = route.key, upstream = route.upstream,
                     guards = #guards > 0 and guards or nil }
    end
    return shown
end

local function stores()
    local shown = {}
    for name, store in pairs(ngx.shared) do
        shown[name] = { capacity = store:capacity(), free = store:free_space() }
    end
    return shown
end

local function key_sets()
    local shown
    for name, issuer in pairs(issuers) do
        shown = shown or {}
        issuer:pick_up()            -- what another worker may have fetched since
        shown[name] = issuer:status()
    end
    return shown
end

local function certificate()
    local known = settings.certificate
    return known and {
        subject = known.subject,
        not_after = date("!%Y-%m-%dT%H:%M:%SZ", known.not_after),
        expires_in = known.not_after - ngx_time(),
    }
end

pages["/status"] = function()
    local serving, wanted = worker.serving()
    send({
        version = settings.version,
        generation = settings.generation,
        origin = settings.origin,
        workers = { serving = serving, wanted = wanted },
        certificate = certificate(),
        issuers = key_sets(),
        stores = stores(),
        routes = routes(),
    })
end

--- content_by_lua: answers an operator.
function _M.run()
    return pages[var.uri]()
end

return _M
