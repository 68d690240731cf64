--- What the upstream is told of the way that a request came: lines of its header.
--
-- nginx evaluates a header that holds variables at a cost of 600 instructions for each of them, so
-- these lines are part of one value (forward.lua). What does not depend on the client's address is
-- composed once for each host, and remembered.
--
--     local way = via.new("https", 8443)
--     local before, after = via.lines(way, "api.example.com:8443")
--     before .. address .. via.AGAIN .. address .. via.NODE .. via.node(address) .. after
--
-- The lines begin within one, behind "Host: ", and end within one.

local concat = table.concat
local find = string.find
local tostring = tostring

local _M = {
    --- Clients choose hosts: so much is remembered, then forgotten.
    MEMO_BOUND = 4096,
    --- What stands between the addresses.
    AGAIN = "\r\nX-Real-IP: ",
    NODE = "\r\nForwarded: for=",
}

--- A way to us: a listener, or the proxy in front of it.
-- @param proto string: http or https, as the client speaks
-- @param port number: to which the client speaks
function _M.new(proto, port)
    return { proto = proto, port = tostring(port), before = {}, after = {}, count = 0 }
end

--- The client in a Forwarded field: RFC 7239 section 6 has an IPv6 address in brackets and quotes.
function _M.node(address)
    return find(address, ":", 1, true) and '"[' .. address .. ']"' or address
end

--- Returns the lines for a request, as two texts: before and after the address.
-- @param way table: from new
-- @param host string: a Host that was judged, so that no character of it can end a line
function _M.lines(way, host)
    local before = way.before[host]
    if before then
        return before, way.after[host]
    end
    if way.count >= _M.MEMO_BOUND then
        way.before, way.after, way.count = {}, {}, 0
    end
    before = concat({
        host,
        "\r\nX-Forwarded-Proto: ", way.proto,
        "\r\nX-Forwarded-Host: ", host,
        "\r\nX-Forwarded-Port: ", way.port,
        "\r\nX-Forwarded-For: ",
    })
    local after = ';host="' .. host .. '";proto=' .. way.proto
    way.before[host], way.after[host], way.count = before, after, way.count + 1
    return before, after
end

return _M
