--- Which requests may leave HTTP: only WebSocket's opening handshake, and only as RFC 6455 has it.
--
-- What follows a handshake is no HTTP any more, so it must be beyond doubt where it ends. Services
-- read a handshake's body as frames, though it was judged as a body.
--
--     upgrade.is_websocket("GET /chat HTTP/1.1", {upgrade = "websocket", connection = "Upgrade"})

local concat = table.concat
local find = string.find
local gmatch = string.gmatch
local lower = string.lower
local type = type

local _M = {}

local function lists_upgrade(connection)
    if type(connection) == "table" then
        connection = concat(connection, ",")
    end
    for option in gmatch(lower(connection or ""), "[^,%s]+") do
        if option == "upgrade" then
            return true
        end
    end
    return false
end

--- Whether a request is to be forwarded as a handshake. Otherwise it is an ordinary request: an
--- upgrade is an offer, which may always be ignored (RFC 9110 section 7.8).
-- @param line string: the request line
-- @param headers table: as fields.read has them; "upgrade" is among them
-- @return boolean
function _M.is_websocket(line, headers)
    local upgrade, length = headers["upgrade"], headers["content-length"]
    return type(upgrade) == "string" and lower(upgrade) == "websocket"
        -- RFC 9110 section 7.8: it means something only where Connection lists it, and nothing in
        -- HTTP/1.0. Over HTTP/2 there is none (RFC 9113 section 8.6).
        and lists_upgrade(headers["connection"])
        -- RFC 6455 section 4.1.
        and find(line, "^GET [^ ]+ HTTP/1%.1$") ~= nil
        and not headers["transfer-encoding"]
        and not (length and find(length, "[^0]"))
end

return _M
