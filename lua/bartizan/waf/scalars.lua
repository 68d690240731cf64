--- Variables of SecLang that are one text each: how they come of a transaction, on demand.
--
-- What no rule asks for is never built. A variable that exists is never nil: what has no value is
-- empty, or 0 where a number is expected, so that negated operators and comparisons have something
-- to judge, as in libmodsecurity. Only REMOTE_USER is nil where no one gave a name.

local clock = require("bartizan.clock")
local percent = require("bartizan.waf.percent")

local ffi = require("ffi")

local byte = string.byte
local cast = ffi.cast
local char = string.char
local concat = table.concat
local date = os.date
local decode = percent.decode
local find = string.find
local floor = math.floor
local format = string.format
local lower = string.lower
local match = string.match
local sub = string.sub
local tostring = tostring

local _M = {}

local bytes_of = ffi.typeof("const uint8_t *")

local SLASH, BACKSLASH = 0x2F, 0x5C

-- Builders by name: function(t) → text, remembered until the transaction is reset.
local BUILD = {}
_M.BUILD = BUILD

-- Builders of what changes while the transaction lives: asked anew each time.
local FRESH = {}
_M.FRESH = FRESH

-- The manual has the relative URL here; libmodsecurity decodes it, as every server behind does.
-- Only behind the split at "?": that 3.0.9 does it the other way round is CVE-2024-1019.
function BUILD.REQUEST_FILENAME(t)
    local path = t.path
    if find(path, "%", 1, true) then
        path = decode(cast(bytes_of, path), 0, #path, false)
    end
    return path
end

function BUILD.REQUEST_BASENAME(t)
    local path = t.scalars.REQUEST_FILENAME
    for i = #path, 1, -1 do
        local b = byte(path, i)
        if b == SLASH or b == BACKSLASH then
            return sub(path, i + 1)
        end
    end
    return ""
end

-- Where the source has a function for it: few rules ask, and to make the text takes time.
function BUILD.UNIQUE_ID(t)
    local source = t.source
    return source.id_of and source.id_of(source.request) or ""
end

-- The manual's is what an embedded server finds behind a script's name; libmodsecurity, which knows
-- of no scripts, has the whole path.
function BUILD.PATH_INFO(t)
    return t.scalars.REQUEST_FILENAME
end

function BUILD.REQUEST_LINE(t)
    local source = t.source
    return source.line or source.method .. " " .. source.target .. " " .. source.protocol
end

function BUILD.ARGS_COMBINED_SIZE(t)
    local arguments = t.collections.ARGS
    local names, values, size = arguments.names, arguments.values, 0
    for i = 1, arguments.n do
        size = size + #names[i] + #values[i]
    end
    return tostring(size)
end

-- The host without its port; an IPv6 address stands in brackets (RFC 3986 section 3.2.2).
function BUILD.SERVER_NAME(t)
    local host = t.host
    if byte(host) == 0x5B then
        local close = find(host, "]", 1, true)
        return close and sub(host, 1, close) or host
    end
    local colon = find(host, ":", 1, true)
    return colon and sub(host, 1, colon - 1) or host
end

function BUILD.AUTH_TYPE(t)
    local field = t.authorization
    local space = find(field, " ", 1, true)
    return space and sub(field, 1, space - 1) or field
end

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local SIX_BITS = {}
for i = 1, #ALPHABET do
    SIX_BITS[byte(ALPHABET, i)] = i - 1
end

-- Base64 (RFC 4648 section 4), up to the first byte that is none.
local function decode_base64(text)
    local out, bits, held = {}, 0, 0
    for i = 1, #text do
        local six = SIX_BITS[byte(text, i)]
        if not six then
            break
        end
        bits, held = bits * 64 + six, held + 6
        if held >= 8 then
            held = held - 8
            local high = floor(bits / 2 ^ held)
            out[#out + 1] = char(high)
            bits = bits - high * 2 ^ held
        end
    end
    return concat(out)
end

-- RFC 7617 section 2: the user's name is what stands before the first colon. Schemes have no case.
function BUILD.REMOTE_USER(t)
    local field = t.authorization
    if lower(sub(field, 1, 6)) ~= "basic " then
        return nil
    end
    return match(decode_base64(match(field, "^ *(%S*)", 7)), "^([^:]*):")
end

function BUILD.FULL_REQUEST(t)
    local source = t.source
    local names, values = source.names, source.values
    local lines = { t.scalars.REQUEST_LINE }
    for i = 1, names and source.count or 0 do
        lines[i + 1] = names[i] .. ": " .. values[i]
    end
    lines[#lines + 1] = ""
    lines[#lines + 1] = t.text or ""
    return concat(lines, "\n")
end

function BUILD.FULL_REQUEST_LENGTH(t)
    return tostring(#t.scalars.FULL_REQUEST)
end

-- Microseconds, as the manual has it since 2.6.
function FRESH.DURATION(t)
    return format("%d", clock.now() - t.started)
end

local TIMES = {
    TIME = "%H:%M:%S", TIME_DAY = "%d", TIME_HOUR = "%H", TIME_MIN = "%M", TIME_SEC = "%S",
    TIME_YEAR = "%Y", TIME_WDAY = "%w",
}
for name, form in pairs(TIMES) do
    BUILD[name] = function(t) return date(form, t.source.time) end
end

-- From 0 on, unlike anybody else's: the manual's range is 0 to 11.
function BUILD.TIME_MON(t)
    return tostring(date("*t", t.source.time).month - 1)
end

function BUILD.TIME_EPOCH(t)
    return format("%d", t.source.time or os.time())
end

-- What stays as it is here unless the transaction sets it.
_M.DEFAULTS = {
    QUERY_STRING = "", REQUEST_BODY = "", REQUEST_BODY_LENGTH = "0",
    REQBODY_PROCESSOR = "", REQBODY_ERROR = "0", REQBODY_ERROR_MSG = "",
    REQBODY_PROCESSOR_ERROR = "0", REQBODY_PROCESSOR_ERROR_MSG = "", URLENCODED_ERROR = "0",
    INBOUND_DATA_ERROR = "0", INBOUND_ERROR_DATA = "0",
    REMOTE_ADDR = "", REMOTE_HOST = "", REMOTE_PORT = "", SERVER_ADDR = "", SERVER_PORT = "",
    SESSIONID = "", USERID = "", WEBAPPID = "",
    MODSEC_BUILD = "030009100",                 -- the version whose meanings these are: 3.0.9
    -- Of multipart bodies, which are not read.
    FILES_COMBINED_SIZE = "0", MULTIPART_CRLF_LF_LINES = "0", MULTIPART_STRICT_ERROR = "0",
    MULTIPART_UNMATCHED_BOUNDARY = "0", MULTIPART_BOUNDARY_QUOTED = "0",
    MULTIPART_BOUNDARY_WHITESPACE = "0", MULTIPART_DATA_BEFORE = "0", MULTIPART_DATA_AFTER = "0",
    MULTIPART_HEADER_FOLDING = "0", MULTIPART_LF_LINE = "0", MULTIPART_MISSING_SEMICOLON = "0",
    MULTIPART_INVALID_QUOTING = "0", MULTIPART_INVALID_PART = "0",
    MULTIPART_INVALID_HEADER_FOLDING = "0", MULTIPART_FILE_LIMIT_EXCEEDED = "0",
}

return _M
