--- Makes a request what the upstream may see, once the guards are content.
--
-- Of the way that it came the upstream is told by lines of its header. nginx evaluates a header
-- that holds variables at a cost of 600 instructions for each of them, so these lines are one
-- string, and remembered: they are the same for all requests of a client to one host.

local concat = table.concat
local find = string.find
local lower = string.lower
local match = string.match
local pairs = pairs
local tostring = tostring
local type = type

local ngx = ngx
local clear_header = ngx.req.clear_header
local var = ngx.var

local _M = {}

local ways = {}                 -- by listener: {proto, port}, and what is remembered for it
local behind_proxy              -- the same for a request that a trusted proxy brought
local trusts_proxies, authority

local function way(proto, port)
    return { proto = proto, port = tostring(port), memo = {}, count = 0 }
end

--- Sets up what is known of the listeners. Runs once, in the master.
-- @param settings table: edge.json
function _M.init(settings)
    for listener, port in pairs(settings.ports) do
        ways[listener] = way(listener, port)
    end
    -- Behind a trusted proxy clients talk to the public origin, however the proxy talks to us.
    local proto
    proto, authority = match(settings.origin, "^(%a+)://(.+)$")
    behind_proxy = way(proto, match(authority, ":(%d+)$") or (proto == "https" and 443 or 80))
    trusts_proxies = settings.trusts_proxies
end

-- RFC 7239 section 6: an IPv6 address stands in brackets, and then in quotes.
local function node(address)
    return find(address, ":", 1, true) and '"[' .. address .. ']"' or address
end

--- Composes the lines. They begin within one, behind "X-Forwarded-For: ", and end within one.
-- @param address string: the client's
-- @param host string: a Host that was judged, so that no character of it can end a line
-- @param proto string: http or https
-- @param port string
function _M.compose(address, host, proto, port)
    return concat({
        address,
        "\r\nX-Real-IP: ", address,
        "\r\nForwarded: for=", node(address), ';host="', host, '";proto=', proto,
        "\r\nX-Forwarded-Proto: ", proto,
        "\r\nX-Forwarded-Host: ", host,
        "\r\nX-Forwarded-Port: ", port,
    })
end

-- Clients choose hosts, and come from many addresses: what is remembered is bounded, and emptied
-- when it has grown to that.
local MEMO_BOUND = 4096

local function lines(came, address, host)
    local addresses = came.memo[host]
    local known = addresses and addresses[address]
    if known then
        return known
    end
    if came.count >= MEMO_BOUND then
        came.memo, came.count = {}, 0
    end
    addresses = came.memo[host] or {}
    came.memo[host], came.count = addresses, came.count + 1
    known = _M.compose(address, host, came.proto, came.port)
    addresses[address] = known
    return known
end

-- RFC 9110 section 7.8: Upgrade means something only where Connection lists it. Of upgrades only
-- WebSocket's is passed on, and that there is none in HTTP/2 (RFC 9113 section 8.6).
local function upgrade(headers)
    local connection = headers["connection"]
    if lower(headers["upgrade"]) == "websocket" and type(connection) == "string"
        and find(lower(connection), "upgrade", 1, true)
    then
        var.bartizan_upgrade = "websocket"
        var.bartizan_connection = "upgrade"
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
    var.bartizan_via = lines(came, request.address, headers["host"] or authority)
    if type(headers["upgrade"]) == "string" then
        upgrade(headers)
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
