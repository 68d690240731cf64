--- The header fields of the current request, read once: their values, and what is wrong with them.
--
-- ngx.req.get_headers gives the values, but neither the bytes between the fields nor a second look
-- at each for free; this reads through the same FFI functions of ngx_lua that lua-resty-core's
-- get_headers calls, in one pass.

local base = require("resty.core.base")
local ffi = require("ffi")
local headers = require("bartizan.headers")

local C = ffi.C
local error = error
local ffi_str = ffi.string
local find = string.find
local get_request = base.get_request
local is_plain = headers.is_plain
local is_traceparent = headers.is_traceparent
local judge_connection = headers.connection
local judge_name = headers.name
local sub = string.sub
local type = type
local value_problem = headers.value_problem

local ngx = ngx
local raw_header = ngx.req.raw_header

local _M = {
    --- More fields than any honest client sends.
    MAX_FIELDS = 100,
}

local MAX_FIELDS = _M.MAX_FIELDS
local buffer = ffi.new("ngx_http_lua_ffi_table_elt_t[?]", MAX_FIELDS)
local truncated = ffi.new("int[1]")

local LF, CR, SPACE, TAB = 0x0A, 0x0D, 0x20, 0x09

-- Bare LF. RFC 9112 section 2.2 lets a server take one for a line end, and not every server does:
-- two readings. What nginx parsed still stands in its buffer, field after field, but for the byte
-- behind each value, which is NUL now. Looking there costs nothing, and only raises a suspicion:
-- where a buffer ended between two lines the neighbouring bytes mean nothing. raw_header decides.
-- Known limit: a value, one space and LF can't be told from a value, CR and LF any more.

-- Where the line of a value ends in LF, as an offset from the value's start; nil on suspicion.
local function line_end(data, length)
    local at = length + 1
    if data[at] == LF then
        return at
    end
    while data[at] == SPACE or data[at] == TAB do
        at = at + 1
    end
    return data[at] == CR and data[at + 1] == LF and at + 1 or nil
end

-- The line before the first field is the request line, the one after the last is empty.
local function ends_well(first_name, last_value, last_length)
    if first_name[-1] ~= LF or first_name[-2] ~= CR then
        return false
    end
    local at = line_end(last_value, last_length)
    return at ~= nil and last_value[at + 1] == CR and last_value[at + 2] == LF
end

local function has_bare_lf()
    local raw = raw_header()
    local position = 1
    while true do
        local lf = find(raw, "\n", position, true)
        if not lf then
            return false
        elseif sub(raw, lf - 1, lf - 1) ~= "\r" then
            return true
        end
        position = lf + 1
    end
end

-- Adds a value under a name: an array where the name was there before.
local function add(fields, name, value)
    local existing = fields[name]
    if existing == nil then
        fields[name] = value
    elseif type(existing) == "table" then
        existing[#existing + 1] = value
    else
        fields[name] = { existing, value }
    end
end

-- Values that were found clean: they repeat from request to request, and a look into a table is
-- less than one at each byte. Clients choose them, so it is bounded in bytes and then emptied.
local MEMO_BYTES = 1048576
local MEMO_LONGEST = 4096
local PLAIN, QUOTED = 1, 2      -- QUOTED: JSON would have to escape something of it
local clean, clean_bytes = {}, 0

-- Returns nil where a value may stand in a field, otherwise why not.
local function judge_value(value, data, length)
    if not is_plain(data, length) then
        local problem = value_problem(value)
        if problem then
            return problem
        end
    end
    if length <= MEMO_LONGEST then
        if clean_bytes > MEMO_BYTES then
            clean, clean_bytes = {}, 0
        end
        -- Without a pattern, which would go through a token at 140 instructions a byte.
        clean[value] = (find(value, '"', 1, true) or find(value, "\\", 1, true)) and QUOTED
            or PLAIN
        clean_bytes = clean_bytes + length + 64
    end
    return nil
end

-- What is done once for a value must not become part of the trace of what is done for each.
jit.off(judge_value)

-- What nginx lets through that no field of the protocol's version may be. A line without a colon it
-- takes for a field without a value, whose value then begins where the name ends.
local function judge_form(http1, name, element)
    if name.refuse then
        return "a header name with characters that no name has"
    elseif http1 then
        return element.value.data == element.key.data + element.key.len
            and "a header line without a colon" or nil
    end
    return name.http1_only and name.lower .. " over HTTP/2" or nil
end

-- Looks at the fields that say something about others.
local function judge_together(request, drop)
    local connection = request.connection
    if connection and connection ~= "keep-alive" and connection ~= "close" then
        local reason
        drop, reason = judge_connection(connection, drop)
        if reason then
            return nil, reason
        end
    end
    local trace = request.traceparent
    if trace and not (type(trace) == "string" and is_traceparent(trace)) then
        -- W3C Trace Context section 3.3.1.5: an invalid one takes tracestate with it.
        drop = drop or {}
        drop[#drop + 1] = "traceparent"
        drop[#drop + 1] = "tracestate"
        request.traceparent = nil
    end
    return drop
end

--- Whether nginx can write a value into JSON as it is.
function _M.is_loggable(value)
    return value == nil or clean[value] == PLAIN
end

--- Reads the fields.
-- @param request table: it gets `names` (in small letters) and `values`, two arrays with as many
--   entries as `count` says; `drop`, names not to be forwarded, if there are any; and what
--   requests.lua has of headers besides, an array where a field is repeated
-- @param http1 boolean: whether the request came as text, with lines
-- @return nil
-- @return number, string: the status and reason of the refusal
function _M.read(request, http1)
    local current = get_request()
    local n = C.ngx_http_lua_ffi_req_get_headers_count(current, MAX_FIELDS, truncated)
    if n < 0 then
        error("no header fields in this phase")
    elseif truncated[0] ~= 0 then
        return 431, "more than " .. MAX_FIELDS .. " header fields"
    elseif n == 0 then
        return nil
    end
    C.ngx_http_lua_ffi_req_get_headers(current, buffer, n, 1)
    local names, values, drop, suspect = request.names, request.values, nil, false
    for i = 0, n - 1 do
        local element = buffer[i]
        local data, length = element.value.data, element.value.len
        local name = judge_name(ffi_str(element.key.data, element.key.len))
        local value = ffi_str(data, length)
        local problem = judge_form(http1, name, element)
        if problem then
            return 400, problem
        elseif not clean[value] then
            problem = judge_value(value, data, length)
            if problem then
                return 400, problem .. " of " .. name.lower
            end
        end
        if name.drop then
            drop = drop or {}
            drop[#drop + 1] = name.lower
        end
        if data[length + 1] ~= LF and http1 and not line_end(data, length) then
            suspect = true
        end
        names[i + 1], values[i + 1] = name.lower, value
        if name.field then
            add(request, name.field, value)
        end
    end
    if http1 then
        local last = buffer[n - 1].value
        if (suspect or not ends_well(buffer[0].key.data, last.data, last.len))
            and has_bare_lf()
        then
            return 400, "a bare LF in the header"
        end
    end
    local reason
    drop, reason = judge_together(request, drop)
    if reason then
        return 400, reason
    end
    request.drop = drop
    -- Only now: of a request that was refused half-way the arrays hold what another one had.
    request.count = n
    return nil
end

--- The fields by name, for what asks for one that requests.lua has not. Few requests need it.
-- @param request table: it gets `headers`: lower-case names to a value, or an array where a field
--   is repeated
-- @return table: the same
function _M.by_name(request)
    local fields = request.headers
    if not fields then
        fields = {}
        for i = 1, request.count do
            add(fields, request.names[i], request.values[i])
        end
        request.headers = fields
    end
    return fields
end

return _M
