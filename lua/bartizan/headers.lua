--- Header hygiene: what a client may not forge, and what no field may hold.
--
-- Names are compared folded: small letters, with "_" and "." as "-". Gateways and services fold
-- differently (WSGI turns X-Real_IP into HTTP_X_REAL_IP), so what folds to a protected name is
-- treated as that name, however it was spelled.
--
-- What stands under its exact name in nginx's proxy_set_header list is overwritten there; here is
-- what nginx does not see: other spellings, names that are only dropped, and what the client named
-- in Connection.
--
--     local name = headers.name("X_Real_IP")   {lower = "x_real_ip", refuse = false, drop = true,
--                                               http1_only = false, field = false}
--     headers.value_problem(value)             nil, or why no field may hold the value
--     headers.connection(value, drop)          what Connection lists is dropped as well

local bit = require("bit")
local ffi = require("ffi")
local utf8 = require("bartizan.utf8")

local band = bit.band
local bor = bit.bor
local byte = string.byte
local cast = ffi.cast
local concat = table.concat
local find = string.find
local format = string.format
local gmatch = string.gmatch
local gsub = string.gsub
local lower = string.lower
local match = string.match
local skip_utf8 = utf8.skip
local sub = string.sub
local type = type

local _M = {}

-- Protected by name: framing and connection fields (a second spelling is an attack on whoever
-- folds), and what the gateway itself sets or judges. true: nginx overwrites or omits the exact
-- spelling by itself, so only other spellings are dropped. false: dropped in every spelling.
local PROTECTED = {
    ["authorization"] = true,
    ["connection"] = true,
    ["content-encoding"] = true,
    ["content-length"] = true,
    ["content-type"] = true,
    ["cookie"] = true,
    ["expect"] = true,
    ["forwarded"] = true,
    ["host"] = true,
    ["keep-alive"] = true,
    ["te"] = true,
    ["traceparent"] = true,
    ["tracestate"] = true,
    ["transfer-encoding"] = true,
    ["upgrade"] = true,
    ["x-client-id"] = true,
    ["x-forwarded-for"] = true,
    ["x-forwarded-host"] = true,
    ["x-forwarded-port"] = true,
    ["x-forwarded-proto"] = true,
    ["x-real-ip"] = true,
    ["x-request-id"] = true,
    ["x-scopes"] = true,

    ["http2-settings"] = false,
    ["proxy"] = false,                  -- becomes HTTP_PROXY in CGI (CVE-2016-5385)
    ["proxy-authenticate"] = false,     -- hop-by-hop: RFC 9110 section 7.6.1
    ["proxy-authorization"] = false,
    ["proxy-connection"] = false,
    ["trailer"] = false,                -- nginx forwards no trailers
    ["x-forwarded"] = false,
    ["x-http-method"] = false,
    ["x-http-method-override"] = false,
    ["x-method-override"] = false,
    ["x-original-url"] = false,
    ["x-rewrite-url"] = false,
}

-- Of one HTTP/1 connection: RFC 9113 section 8.2.2 has a request malformed that brings one over
-- HTTP/2. nginx would take it, and an Upgrade would leave it with a stream that it can't switch.
local HTTP1_ONLY = {
    ["connection"] = true,
    ["keep-alive"] = true,
    ["proxy-connection"] = true,
    ["transfer-encoding"] = true,
    ["upgrade"] = true,
}

-- What a request keeps in a field of its own: requests.lua.
local REQUEST_FIELDS = {
    ["authorization"] = "authorization",
    ["connection"] = "connection",
    ["content-length"] = "content_length",
    ["host"] = "host_field",
    ["traceparent"] = "traceparent",
    ["transfer-encoding"] = "transfer_encoding",
    ["upgrade"] = "upgrade",
    ["user-agent"] = "user_agent",
}

-- Protected whatever follows.
local PROTECTED_PREFIXES = { "client-cert", "x-forwarded-" }

-- Connection may not take these away (RFC 9110 section 7.6.1: no option for a field that is meant
-- for all recipients): the gateway would judge what the upstream never sees.
local END_TO_END = {
    ["authorization"] = true,
    ["content-encoding"] = true,
    ["content-length"] = true,
    ["content-type"] = true,
    ["cookie"] = true,
    ["host"] = true,
    ["transfer-encoding"] = true,
}

-- What Connection usually says; nginx deals with these.
local CONNECTION_OPTIONS = {
    ["close"] = true,
    ["keep-alive"] = true,
    ["te"] = true,
    ["upgrade"] = true,
}

-- Judgements by name. Clients choose names, so it is emptied when it has grown to its bound, and
-- longer ones than honest clients send are judged anew; what those send is back at once.
local MEMO_BOUND = 2048
local MEMO_LONGEST = 64
local memo, memo_count = {}, 0

--- Folds a name: what it is called by whoever takes "-", "_" and "." for the same.
function _M.fold(name)
    return (gsub(lower(name), "[_.]", "-"))
end

local function must_drop(lowered)
    local folded = _M.fold(lowered)
    local set_by_nginx = PROTECTED[folded]
    if set_by_nginx ~= nil then
        return not (set_by_nginx and folded == lowered)
    end
    for i = 1, #PROTECTED_PREFIXES do
        if sub(folded, 1, #PROTECTED_PREFIXES[i]) == PROTECTED_PREFIXES[i] then
            return true
        end
    end
    return false
end

--- Judges a name.
-- @param name string: as the client spelled it
-- @return table: {lower, refuse, drop, http1_only, field}, shared by all requests
function _M.name(name)
    local known = memo[name]
    if known then
        return known
    end
    local lowered = lower(name)
    known = {
        lower = lowered,
        -- RFC 9110 section 5.6.2: token. nginx lets more through, for nothing to be dropped unseen.
        refuse = not find(name, "^[%w!#$%%&'*+.^_`|~-]+$"),
        drop = must_drop(lowered),
        http1_only = HTTP1_ONLY[lowered] or false,
        field = REQUEST_FIELDS[lowered] or false,
    }
    if #name > MEMO_LONGEST then
        return known
    elseif memo_count >= MEMO_BOUND then
        memo, memo_count = {}, 0
    end
    memo[name], memo_count = known, memo_count + 1
    return known
end

--- Says what a value holds that no field may: RFC 9110 section 5.5 has visible characters, spaces
--- and tabs; beyond ASCII, only UTF-8 is taken.
-- @return string: the problem; nil for none
function _M.value_problem(value)
    local position = 1
    while position <= #value do
        local b = byte(value, position)
        if b < 0x20 and b ~= 0x09 or b == 0x7F then
            return format("byte 0x%02x in the value", b)
        elseif b < 0x80 then
            position = position + 1
        else
            position = skip_utf8(value, position, b)
            if not position then
                return "bytes that are not UTF-8 in the value"
            end
        end
    end
    return nil
end

local words = ffi.typeof("const uint32_t *")

--- Whether a value is printable ASCII without doubt: four bytes at a time. Subtracting 0x20 from a
--- byte below it borrows, adding 1 to 0x7F carries: either sets the top bit of some byte, as any
--- byte from 0x80 on has it set. A doubt (a tab, a neighbour's carry) costs a slow look, no more.
-- @param pointer cdata: const unsigned char *
-- @param length number
function _M.is_plain(pointer, length)
    local whole = (length - length % 4) / 4
    local word_pointer = cast(words, pointer)
    local doubt = 0
    for i = 0, whole - 1 do
        local word = word_pointer[i]
        doubt = bor(doubt, word, word - 0x20202020, word + 0x01010101)
    end
    if band(doubt, 0x80808080) ~= 0 then
        return false
    end
    for i = whole * 4, length - 1 do
        local b = pointer[i]
        if b < 0x20 or b > 0x7E then
            return false
        end
    end
    return true
end

--- Judges the Connection field: what it lists is for this hop only.
-- @param value string|table: the field's value or values
-- @param drop table|nil: names to drop; the listed ones are added
-- @return table|nil: drop, a new one if there was none and something is listed
-- @return nil, string: why the request must be refused
function _M.connection(value, drop)
    if type(value) == "table" then
        value = concat(value, ",")
    end
    for option in gmatch(lower(value), "[^,%s]+") do
        if END_TO_END[_M.fold(option)] then
            return nil, "Connection lists " .. option .. ", which is not the connection's"
        elseif not CONNECTION_OPTIONS[option] then
            drop = drop or {}
            drop[#drop + 1] = option
        end
    end
    return drop
end

--- Whether a traceparent is valid: W3C Trace Context section 3.2.2.
function _M.is_traceparent(value)
    local version, trace, parent, rest =
        match(value, "^(%x%x)%-(%x+)%-(%x+)%-%x%x(.*)$")
    return version ~= nil
        and value == lower(value)
        and version ~= "ff"
        and #trace == 32 and find(trace, "[^0]") ~= nil
        and #parent == 16 and find(parent, "[^0]") ~= nil
        and (rest == "" or version ~= "00" and sub(rest, 1, 1) == "-")
end

--- Reads a Host header (RFC 9110 section 7.2): a name or address, and perhaps a port.
-- @param value string
-- @return string: the host in small letters without port and without a final dot
-- @return nil: it is no host
function _M.read_host(value)
    if #value > 259 then                    -- 253 characters of a name, and a port
        return nil
    end
    local host, port = match(value, "^([%w._-]+)(:?%d*)$")
    if not host then
        host, port = match(value, "^(%[[%x:.]+%])(:?%d*)$")
    end
    if not host or port ~= "" and not find(port, "^:%d%d?%d?%d?%d?$") then
        return nil
    end
    host = lower(host)
    if sub(host, -1) == "." and #host > 1 then
        host = sub(host, 1, -2)
    end
    return find(host, "..", 1, true) == nil and sub(host, 1, 1) ~= "." and host or nil
end

return _M
