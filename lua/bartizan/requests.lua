--- The requests that this worker has under way.
--
-- ngx.ctx is wiped by an internal redirect (error_page), so what must outlive one is kept here,
-- under nginx's own request: the same one before and after the redirect, and another for each
-- HTTP/2 stream. It is opened when the request is routed and ended in the log phase, which nginx
-- always runs.
--
-- A request's table is used again for a later one. A table of so many fields costs more to make
-- and to collect than all that is written to it; and since each has its fields at the same places,
-- LuaJIT finds them without a search.

local base = require("resty.core.base")
local ffi = require("ffi")
local random = require("bartizan.random")

local cast = ffi.cast
local id_text = random.text
local get_request = base.get_request
local new_tab = base.new_tab
local tonumber = tonumber

local _M = {
    --- So many tables are kept for later requests.
    SPARE = 1024,
}

local uintptr_t = ffi.typeof("uintptr_t")
local under_way = {}
local spare, spare_count = {}, 0

-- Every field that a request has, in one order. A guard that needs one more (concurrency by a
-- header) takes it away itself.
local function reset(request)
    request.drawn = nil             -- the parts of the id: random.lua
    request.number = nil
    request.id = nil                -- requests.id
    request.listener = nil
    request.http2 = false
    request.address = nil
    request.address_key = nil       -- the address, of IPv6 its /64
    request.line = nil              -- the request line, as it came
    request.method = nil
    request.path = nil              -- canonical; nil as long as the target was not read
    request.query = nil
    request.forward = nil           -- what the upstream gets: path, or path?query
    request.as_it_came = false      -- whether that is the target that the client sent, in HTTP/1
    request.host = nil
    request.count = 0               -- of header fields
    request.headers = nil           -- by lower-case name: fields.by_name
    -- Of header fields, what nearly every request is asked for. In a table by name, which has
    -- others in other places at each request, LuaJIT would have to look again and again.
    request.authorization = nil
    request.connection = nil
    request.content_length = nil
    request.host_field = nil
    request.traceparent = nil
    request.transfer_encoding = nil
    request.upgrade = nil
    request.user_agent = nil
    request.drop = nil              -- names of header fields not to forward
    request.shown = nil             -- what logs show of the target, where it is not as it came
    request.loggable = false        -- whether nginx can write target and fields into JSON as is
    request.route = nil
    request.answer = nil            -- what the class `edge` answers, where it is no refusal
    request.refusal = nil           -- the verdict that the class `edge` answers with
    request.passed = 0              -- which guards have passed: access.lua
    request.asking = nil            -- the guard that is being asked
    request.forwarded = false
    request.whole = false           -- whether the upstream's answer came to its end
    request.unreadable = false      -- the upstream's answer: answered.lua
    request.headless = false
    request.switching = false       -- to WebSocket, as far as we are concerned
    request.client = nil
    request.scopes = nil
    request.claims = nil
    request.decided = nil
    request.ratelimit = nil
    request.ratelimit_policy = nil
    request.ratelimit_remaining = nil
    request.held_address = nil      -- of guards/concurrency.lua
    request.held_client = nil
    request.place_address = nil
    request.place_client = nil
    request.inspection = nil        -- of guards/waf.lua: its part of the audit event, as JSON
    request.events = nil            -- audit.lua
    request.verdict = nil           -- the code by which the request was refused
    request.shown_path = nil
    request.shown_query = nil
    return request
end

-- User-space addresses stay below 2^53, so a double holds them exactly.
local function current()
    return tonumber(cast(uintptr_t, get_request()))
end

--- Opens the current request, until the log phase.
-- @return table: its fields empty
function _M.open()
    local request
    if spare_count > 0 then
        request = spare[spare_count]
        spare_count = spare_count - 1
    else
        request = new_tab(0, 64)
        request.names = new_tab(16, 0)
        request.values = new_tab(16, 0)
        reset(request)
    end
    under_way[current()] = request
    return request
end

--- The id of a request. Of one that is passed on it is never made, but written as it is needed.
function _M.id(request)
    local id = request.id
    if not id then
        id = id_text(request.drawn, request.number)
        request.id = id
    end
    return id
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

--- Keeps the table of a request that has ended for a later one. Nobody else may keep it.
function _M.recycle(request)
    if spare_count < _M.SPARE then
        spare_count = spare_count + 1
        spare[spare_count] = reset(request)
    end
end

return _M
