--- The requests that this worker has under way.
--
-- ngx.ctx is wiped by an internal redirect (error_page), so what must outlive one is kept here,
-- under nginx's own request: the same one before and after the redirect, and another for each
-- HTTP/2 stream. It is opened when the request is routed and taken out in the log phase, which
-- nginx always runs.

local base = require("resty.core.base")
local ffi = require("ffi")

local cast = ffi.cast
local get_request = base.get_request
local tonumber = tonumber

local _M = {}

local uintptr_t = ffi.typeof("uintptr_t")
local under_way = {}

-- User-space addresses stay below 2^53, so a double holds them exactly.
local function current()
    return tonumber(cast(uintptr_t, get_request()))
end

--- Remembers a request until the log phase.
function _M.put(request)
    under_way[current()] = request
end

--- Returns the request of the current phase; nil where nginx refused it before it was routed.
function _M.get()
    return under_way[current()]
end

--- Returns the request of the current phase, and forgets it.
function _M.take()
    local key = current()
    local request = under_way[key]
    under_way[key] = nil
    return request
end

return _M
