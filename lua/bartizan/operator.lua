--- The operator's own listener: /metrics, /status and /readyz.

local cjson = require("cjson")
local exposition = require("bartizan.exposition")
local worker = require("bartizan.worker")

local ipairs = ipairs
local pairs = pairs

local ngx = ngx
local encode = cjson.new().encode
local print = ngx.print
local var = ngx.var

local _M = {}

local settings, issuers
local pages = {}

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
    ngx.header["Content-Type"] = "application/json"
    print(encode({ ready = ready, generation = settings.generation,
                   workers = { serving = serving, wanted = wanted } }), "\n")
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
        shown[name] = issuer:status()
    end
    return shown
end

pages["/status"] = function()
    local serving, wanted = worker.serving()
    ngx.header["Content-Type"] = "application/json"
    print(encode({
        version = settings.version,
        generation = settings.generation,
        origin = settings.origin,
        workers = { serving = serving, wanted = wanted },
        certificate = settings.certificate,
        issuers = key_sets(),
        stores = stores(),
        routes = routes(),
    }), "\n")
end

--- content_by_lua: answers an operator.
function _M.run()
    return pages[var.uri]()
end

return _M
