-- Whom a limit counts: an address, a client, or the value of a header; and the key for it.
--
-- A request that has no client (no token was asked for, or none was good and the token guard only
-- observes) is counted by its address, and so is one without the header: nobody escapes by leaving
-- something out. A header says what its sender likes, and who may choose it has a bucket for each
-- value: a limit by header belongs beside one by address.

local concat = table.concat
local error = error
local lower = string.lower
local match = string.match
local sha1_bin = ngx.sha1_bin
local type = type
local unpack = unpack

-- A key must stay small, whatever a client sends: 64 bytes hold a UUID, a client id, most API keys.
local LONGEST = 64

-- What a subject begins with (keys.lua): where it is what was asked for, and where it is the
-- address for want of that. They differ, or a request would be counted twice in one bucket on a
-- route that has a limit by address, too.
local PARTS = { address = { "a", "a" }, client = { "c", "C" }, header = { "h", "H" } }

local Subject = {}
Subject.__index = Subject

local _M = {}

--- Prepare the keys of one guard.
-- @param kind "r", "c" or "w" (keys.lua)
-- @param period for a bucket, in seconds
-- @param by "address", "client" or "header:NAME"
function _M.new(kind, period, by)
    local header = match(by, "^header:([%w!#$%%&'*+.^_`|~-]+)$")
    if by ~= "address" and by ~= "client" and not header then
        error('by is "' .. by .. '"; it must be address, client or header:NAME')
    end
    header = header and lower(header)
    local name = header and "header" or by
    local value_part, address_part = unpack(PARTS[name])
    local prefix, suffix = kind .. (period or "") .. "|", header and header .. "=" or ""
    return setmetatable({
        name = name,
        header = header,
        is_address = name == "address",
        value_part = prefix .. value_part .. suffix,
        address_part = prefix .. address_part .. suffix,
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
