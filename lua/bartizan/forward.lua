--- Makes a request what the upstream may see, once the guards are content.

local upgrade = require("bartizan.upgrade")
local via = require("bartizan.via")

local is_websocket = upgrade.is_websocket
local match = string.match
local pairs = pairs
local via_lines = via.lines

local ngx = ngx
local clear_header = ngx.req.clear_header
local set_header = ngx.req.set_header
local var = ngx.var

local _M = {}

local ways = {}                 -- by listener
local behind_proxy              -- the same for a request that a trusted proxy brought
local trusts_proxies, authority

--- Sets up what is known of the listeners. Runs once, in the master.
-- @param settings table: edge.json
function _M.init(settings)
    for listener, port in pairs(settings.ports) do
        ways[listener] = via.new(listener, port)
    end
    -- Behind a trusted proxy clients talk to the public origin, however the proxy talks to us.
    local proto
    proto, authority = match(settings.origin, "^(%a+)://(.+)$")
    behind_proxy = via.new(proto, match(authority, ":(%d+)$") or (proto == "https" and 443 or 80))
    trusts_proxies = settings.trusts_proxies
end

local function offer_websocket(headers)
    var.bartizan_upgrade = "websocket"
    var.bartizan_connection = "upgrade"
    -- Once it has switched, nginx reads what the client sends over the request's own bytes, to
    -- which its variables still point at the end: the log needs copies. See log.lua for the rest.
    set_header("Host", headers["host"])
    if headers["user-agent"] then
        set_header("User-Agent", headers["user-agent"])
    end
end

--- Forwards a request, as far as Lua has a part in it.
-- @param request table
function _M.run(request)
    local drop, headers = request.drop, request.headers
    if drop then
        for i = 1, #drop do
            clear_header(drop[i])
        end
    end
    local came = ways[request.listener]
    if trusts_proxies and var.bartizan_proxied == "1" then
        came = behind_proxy
    end
    var.bartizan_via = via_lines(came, request.address, headers["host"] or authority)
    if headers["upgrade"] and is_websocket(request.line, headers) then
        offer_websocket(headers)
    end
    if headers["traceparent"] then
        var.bartizan_traced = "1"
    end
    if request.client then
        var.bartizan_client = request.client
        var.bartizan_scopes = request.scopes
    end
    var.bartizan_target = request.forward
    request.forwarded = true
end

return _M
