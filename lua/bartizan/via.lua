--- What the upstream is told of the way that a request came: lines of its header.
--
-- nginx evaluates a header that holds variables at a cost of 600 instructions for each of them, so
-- these lines are one string, and remembered: they are the same for all requests of a client to
-- one host.
--
--     local way = via.new("https", 8443)
--     via.lines(way, "192.0.2.1", "api.example.com:8443")
--
-- The lines begin within one, behind "Host: ", and end within one.

local concat = table.concat
local find = string.find
local tostring = tostring

local _M = {
    --- Clients choose hosts, and come from many addresses: so much is remembered, then forgotten.
    MEMO_BOUND = 4096,
}

--- A way to us: a listener, or the proxy in front of it.
-- @param proto string: http or https, as the client speaks
-- @param port number: to which the client speaks
function _M.new(proto, port)
    return { proto = proto, port = tostring(port), memo = {}, count = 0 }
end

-- RFC 7239 section 6: an IPv6 address stands in brackets, and then in quotes.
local function node(address)
    return find(address, ":", 1, true) and '"[' .. address .. ']"' or address
end

local function compose(way, address, host)
    return concat({
        host,
        "\r\nX-Forwarded-For: ", address,
        "\r\nX-Real-IP: ", address,
        "\r\nForwarded: for=", node(address), ';host="', host, '";proto=', way.proto,
        "\r\nX-Forwarded-Proto: ", way.proto,
        "\r\nX-Forwarded-Host: ", host,
        "\r\nX-Forwarded-Port: ", way.port,
    })
end

--- Returns the lines for a request.
-- @param way table: from new
-- @param address string: the client's
-- @param host string: a Host that was judged, so that no character of it can end a line
function _M.lines(way, address, host)
    local addresses = way.memo[host]
    local known = addresses and addresses[address]
    if known then
        return known
    end
    if way.count >= _M.MEMO_BOUND then
        way.memo, way.count = {}, 0
    end
    addresses = way.memo[host] or {}
    way.memo[host], way.count = addresses, way.count + 1
    known = compose(way, address, host)
    addresses[address] = known
    return known
end

return _M
