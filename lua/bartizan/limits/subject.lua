-- Whom a limit counts: an address, a client, or the value of a header; and the key for it.
--
-- A request that has no client (no token was asked for, or none was good and the token guard only
-- observes) is counted by its address, and so is one without the header: nobody escapes by leaving
-- something out. A header says what its sender likes, and who may choose it has a bucket for each
-- value: a limit by header belongs beside one by address.

local concat = table.concat
local error = error
local match = string.match
local sha1_bin = ngx.sha1_bin
local type = type

-- A key must stay small, whatever a client sends: 64 bytes hold a UUID, a client id, most API keys.
local LONGEST = 64

local Subject = {}
Subject.__index = Subject

local _M = {}

--- Prepare the keys of one guard.
-- @param kind "r", "c" or "w" (keys.lua)
-- @param settings what keeps this guard apart from others of its kind on a route
-- @param by "address", "client" or "header:NAME"
function _M.new(kind, settings, by)
    local header = match(by, "^header:([%w!#$%%&'*+.^_`|~-]+)$")
    if by ~= "address" and by ~= "client" and not header then
        error('by is "' .. by .. '"; it must be address, client or header:NAME')
    end
    local prefix = kind .. settings .. "|"
    return setmetatable({
        name = header and "header" or by,
        header = header and header:lower(),
        is_address = by == "address",
        address_part = prefix .. "a",
        value_part = prefix .. (header and "h" or "c"),
    }, Subject)
end

--- The key of whom a request is counted for.
function Subject:key(request)
    if not self.is_address then
        local value
        if self.header then
            value = request.headers[self.header]
            if type(value) == "table" then
                value = concat(value, ",")
            end
        else
            value = request.client
        end
        if value and value ~= "" then
            if #value > LONGEST then
                value = sha1_bin(value)
            end
            return request.route.key .. self.value_part .. value
        end
    end
    return request.route.key .. self.address_part .. request.address_key
end

return _M
