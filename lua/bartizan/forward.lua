--- Makes a request what the upstream may see, once the guards are content.

local fields = require("bartizan.fields")
local line = require("bartizan.line")
local random = require("bartizan.random")
local upgrade = require("bartizan.upgrade")
local via = require("bartizan.via")

local assign = line.assign
local begin = line.begin
local by_name = fields.by_name
local is_websocket = upgrade.is_websocket
local match = string.match
local node = via.node
local pairs = pairs
local put = line.put
local put_id = line.id
local via_lines = via.lines

local ngx = ngx
local clear_header = ngx.req.clear_header
local set_header = ngx.req.set_header
local var = ngx.var

local _M = {}

local ways = {}                 -- by listener
local behind_proxy              -- the same for a request that a trusted proxy brought
local trusts_proxies, authority

-- W3C Trace Context: the id of a span need be unique in its trace only.
local SPAN_END = "-" .. random.hex(8) .. "-01"

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

local AGAIN, NODE = via.AGAIN, via.NODE
local HEAD = line.variable("bartizan_head")

-- Once it has switched, nginx reads what the client sends over the request's own bytes, to which
-- its variables still point at the end: the log needs copies. See log.lua for the rest.
local function keep_for_log(request)
    set_header("Host", request.host_field)
    if request.user_agent then
        set_header("User-Agent", request.user_agent)
    end
end

--- Forwards a request, as far as Lua has a part in it.
-- @param request table
function _M.run(request)
    local drop = request.drop
    if drop then
        for i = 1, #drop do
            clear_header(drop[i])
        end
    end
    local came = ways[request.listener]
    if trusts_proxies and var.bartizan_proxied == "1" then
        came = behind_proxy
    end
    begin()
    local before, after = via_lines(came, request.host_field or authority)
    local address = request.address
    put(before)
    put(address)
    put(AGAIN)
    put(address)
    put(NODE)
    put(node(address))
    put(after)
    put("\r\nX-Request-Id: ")
    put_id(request.drawn, request.number)
    -- What is said of the client: nothing of it came in a header that it chose.
    if request.client then
        put("\r\nX-Client-Id: ")
        put(request.client)
        if request.scopes ~= "" then
            put("\r\nX-Scopes: ")
            put(request.scopes)
        end
    end
    -- A trace begins here where the client sent none.
    if not request.traceparent then
        put("\r\ntraceparent: 00-")
        put_id(request.drawn, request.number)
        put(SPAN_END)
    end
    if request.upgrade and is_websocket(request.line, by_name(request)) then
        request.switching = true
        keep_for_log(request)
        put("\r\nConnection: upgrade\r\nUpgrade: websocket")
    end
    assign(HEAD)
    if not (request.as_it_came and request.route.fronts) then
        var.bartizan_target = request.forward
    end
    request.forwarded = true
end

return _M
