-- Lets clients in, or keeps them out, by their address.
--
-- Settings:
--   allow  path of compiled ranges, or null: whoever is not in them is refused
--   deny   path of compiled ranges, or null: whoever is in them is refused, allowed or not
-- Verdict: 403 address_denied. The address is the one that nginx's real-IP handling left: a
-- trusted proxy's word counts, a client's own does not.

local null = require("bartizan.json").null
local ranges = require "bartizan.ranges"

local error = error
local ngx_var = ngx.var

local function verdict(reason)
    return { status = 403, code = "address_denied", reason = reason }
end

local DENIED = verdict("the address is in the deny list")
local NOT_ALLOWED = verdict("the address is not in the allow list")
-- Such as a client on a Unix socket: no list can say anything about it, so it stays outside.
local NO_ADDRESS = verdict("the client has no IP address")

local function open(settings, name)
    local path = settings[name]
    if path == nil or path == null then
        return nil
    end
    local list, err = ranges.open(path)
    if not list then
        error("addresses: could not open the " .. name .. " list: " .. err, 0)
    end
    return list
end

local function new(settings)
    local guard = { allow = open(settings, "allow"), deny = open(settings, "deny") }
    if not (guard.allow or guard.deny) then
        error("addresses: neither an allow nor a deny list is given", 0)
    end
    return guard
end

local function check(guard)
    local address = ngx_var.binary_remote_addr
    local deny, allow = guard.deny, guard.allow
    if deny then
        local found, err = deny:contains(address)
        if err then
            return NO_ADDRESS
        elseif found then
            return DENIED
        end
    end
    if allow then
        local found, err = allow:contains(address)
        if err then
            return NO_ADDRESS
        elseif not found then
            return NOT_ALLOWED
        end
    end
    return nil
end

return { name = "addresses", new = new, check = check }
