--- Asks for an issuer's key set, through nginx itself.
--
-- An internal listener on a Unix socket proxies to the issuer: nginx brings time-outs, name
-- resolution and TLS with verification, and follows no redirect. Here the answer is bounded, in
-- bytes and in time as a whole (nginx's time-outs are for one read each).

local clock = require("bartizan.clock")
local keyset = require("bartizan.jose.keyset")
local response = require("bartizan.keysets.response")

local concat = table.concat
local max = math.max
local min = math.min
local now = clock.now
local parse = response.parse

local ngx = ngx
local tcp = ngx.socket.tcp

local _M = {}

-- The longest key set, and its head.
local MAX_BYTES = keyset.MAX_BYTES + 16384
local PIECE = 65536

--- Seconds that a fetch takes at most.
_M.DEADLINE = 15
-- A single wait; nginx's own time-outs for the issuer are shorter.
local CONNECT_TIMEOUT, SEND_TIMEOUT, READ_TIMEOUT = 1000, 1000, 12000

local TOO_LONG = "the answer took too long"

local function read_all(socket, deadline)
    local pieces, n, size = {}, 0, 0
    while true do
        local left = (deadline - now()) / 1000
        if left <= 0 then
            return nil, TOO_LONG
        end
        socket:settimeouts(CONNECT_TIMEOUT, SEND_TIMEOUT, max(1, min(READ_TIMEOUT, left)))
        local piece, err = socket:receiveany(PIECE)
        if not piece then
            if err == "closed" then
                return concat(pieces)
            elseif err == "timeout" then
                return nil, TOO_LONG
            end
            return nil, "the answer could not be read: " .. err
        end
        n, size = n + 1, size + #piece
        if size > MAX_BYTES then
            return nil, "the answer is longer than a key set can be"
        end
        pieces[n] = piece
    end
end

--- Fetches. Yields; for timers only.
-- @param path string: of the Unix socket
-- @param uri string: the issuer's location behind it
-- @param etag string|nil: of the set that is there already
-- @return table: as response.parse returns it, of whatever status
-- @return nil, string
function _M.get(path, uri, etag)
    local deadline = now() + _M.DEADLINE * 1000000
    local socket = tcp()
    socket:settimeouts(CONNECT_TIMEOUT, SEND_TIMEOUT, READ_TIMEOUT)
    local ok, err = socket:connect("unix:" .. path)
    if not ok then
        return nil, "could not connect to the internal listener: " .. err
    end
    local raw
    ok, err = socket:send({ "GET ", uri, " HTTP/1.0\r\nHost: issuer\r\n",
                            etag and "If-None-Match: " .. etag .. "\r\n" or "", "\r\n" })
    if ok then
        raw, err = read_all(socket, deadline)
    else
        err = "could not ask: " .. err
    end
    socket:close()
    if not raw then
        return nil, err
    end
    return parse(raw)
end

return _M
