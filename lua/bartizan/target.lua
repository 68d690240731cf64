--- The one canonical reading of a request line: what is judged here is what is forwarded.
--
-- Input is the request line as the client sent it (on HTTP/2 nginx composes one). The path comes
-- out in one spelling: unreserved characters are decoded, every other percent-encoding has upper-
-- case hex (RFC 3986 section 6.2.2), and what no path may hold raw is encoded. What two servers
-- could read differently is refused, not repaired: dot segments, empty segments (those that are so
-- without their ";parameters" too), encoded slashes and backslashes, control characters, bytes that
-- are not UTF-8.
--
--     local target, status, code, reason = target.parse("GET /api/users?name=a HTTP/1.1")
--
-- A target is {method, path, key, query, forward, authority, protocol}:
--     path       the canonical path
--     key        the path by which routes are found: reserved characters that a route may hold are
--                decoded too, so that /a%40b and /a@b cannot be two routes to one resource
--     query      what follows the first "?", verbatim; nil without a "?"
--     forward    what goes to the upstream: path, or path?query
--     authority  host[:port] of the absolute form (RFC 9112 section 3.2.2), otherwise nil
--     protocol   "HTTP/1.0", "HTTP/1.1" or "HTTP/2.0"

local ffi = require("ffi")
local utf8 = require("bartizan.utf8")

local byte = string.byte
local char = string.char
local concat = table.concat
local find = string.find
local format = string.format
local lower = string.lower
local skip_utf8 = utf8.skip
local sub = string.sub
local tonumber = tonumber

local _M = {
    --- More arguments than any form of a person has; parsers behind us stop at some number too.
    MAX_ARGUMENTS = 1000,
}

local PROTOCOLS = { ["HTTP/1.0"] = true, ["HTTP/1.1"] = true, ["HTTP/2.0"] = true }

-- What a byte is in a path.
local REFUSED, PLAIN, ENCODE, PERCENT = 0, 1, 2, 3
-- What a byte is when it arrives percent-encoded.
local KEEP, UNRESERVED, RESERVED, FORBIDDEN, HIGH = 0, 1, 2, 3, 4

local RAW = ffi.new("uint8_t[256]")
local ENCODED = ffi.new("uint8_t[256]")

do
    local function mark(characters, raw, encoded)
        for i = 1, #characters do
            RAW[byte(characters, i)] = raw
            ENCODED[byte(characters, i)] = encoded
        end
    end
    for b = 0x00, 0x20 do
        ENCODED[b] = b == 0x20 and KEEP or FORBIDDEN
    end
    ENCODED[0x7F] = FORBIDDEN
    for b = 0x80, 0xFF do
        ENCODED[b] = HIGH
    end
    for b = 0x30, 0x39 do
        mark(char(b), PLAIN, UNRESERVED)
    end
    for b = 0x41, 0x5A do
        mark(char(b) .. lower(char(b)), PLAIN, UNRESERVED)
    end
    mark("-._~", PLAIN, UNRESERVED)
    mark("!$&'()*+,;=:@", PLAIN, RESERVED)      -- sub-delims, ":" and "@": RFC 3986 section 3.3
    mark("/", PLAIN, FORBIDDEN)
    mark("\\", REFUSED, FORBIDDEN)
    mark("%", PERCENT, KEEP)
    mark("\"<>[]^`{|}", ENCODE, KEEP)           -- browsers send some of these as they are
    mark("?", REFUSED, KEEP)                    -- a raw one ends the path before this is asked
    mark("#", REFUSED, KEEP)
end

-- Whether a byte may stand in a query: printable ASCII, but for "#".
local QUERY = ffi.new("uint8_t[256]")
for b = 0x21, 0x7E do
    QUERY[b] = b == 0x23 and 0 or 1
end

local AMPERSAND = 0x26

local function bad(reason)
    return nil, 400, "bad_request", reason
end

local function ambiguous(reason)
    return nil, 400, "not_canonical", reason
end

-- Rewrites a path that holds percent-encodings or bytes to encode.
-- Returns path and key, or nil, nil and why not.
local function rewrite(raw)
    local path, key, n = {}, {}, 0
    local high = {}                              -- the decoded bytes, to see that they are UTF-8
    local position, length, not_ascii = 1, #raw, false
    while position <= length do
        local b = byte(raw, position)
        n = n + 1
        if RAW[b] == PERCENT then
            local hex = sub(raw, position + 1, position + 2)
            if not find(hex, "^%x%x$") then
                return nil, nil, "a % without two hex digits"
            end
            local value = tonumber(hex, 16)
            local class = ENCODED[value]
            if class == FORBIDDEN then
                return nil, nil, format("%%%02X in the path", value)
            end
            local encoded = format("%%%02X", value)
            path[n] = class == UNRESERVED and char(value) or encoded
            key[n] = (class == UNRESERVED or class == RESERVED) and char(value) or encoded
            high[n] = char(value)
            not_ascii = not_ascii or class == HIGH
            position = position + 3
        else
            local text = RAW[b] == ENCODE and format("%%%02X", b) or char(b)
            path[n], key[n], high[n] = text, text, char(b)
            position = position + 1
        end
    end
    if not_ascii then
        local decoded = concat(high)
        local at = 1
        while at and at <= #decoded do
            local b = byte(decoded, at)
            at = b < 0x80 and at + 1 or skip_utf8(decoded, at, b)
        end
        if not at then
            return nil, nil, "percent-encoded bytes that are not UTF-8"
        end
    end
    return concat(path), concat(key)
end

-- Reads a raw path. Returns path and key, or nil, nil and why not.
local function read_path(raw)
    local simple = true
    for i = 1, #raw do
        local class = RAW[byte(raw, i)]
        if class ~= PLAIN then
            if class == REFUSED then
                return nil, nil, format("byte 0x%02x in the path", byte(raw, i))
            end
            simple = false
        end
    end
    local path, key = raw, raw
    if not simple then
        local reason
        path, key, reason = rewrite(raw)
        if not path then
            return nil, nil, reason
        end
    end
    if find(path, "//", 1, true) then
        return nil, nil, "an empty segment (//) in the path"
    end
    if find(path, "/.", 1, true)
        and (find(path, "/./", 1, true) or find(path, "/../", 1, true) or find(path, "/%.%.?$"))
    then
        return nil, nil, "a dot segment in the path"
    end
    -- RFC 3986 section 3.3: a segment may carry parameters behind ";". Servlet containers take them
    -- away before they resolve dots, so "/..;/" climbs there; elsewhere it is a name. Encoded too:
    -- the key has them decoded.
    if find(key, ";", 1, true) and (find(key, "/%.%.?;") or find(key, "/;[^/]*/")) then
        return nil, nil, "a dot segment or an empty one, with parameters, in the path"
    end
    return path, key
end

-- Returns nil where the query is fit to be forwarded, otherwise why not.
local function judge_query(query)
    local arguments = 1
    for i = 1, #query do
        local b = byte(query, i)
        if QUERY[b] == 0 then
            return format("byte 0x%02x in the query", b)
        elseif b == AMPERSAND then
            arguments = arguments + 1
        end
    end
    if arguments > _M.MAX_ARGUMENTS then
        return "more than " .. _M.MAX_ARGUMENTS .. " arguments in the query"
    end
end

--- Reads a request line.
-- @param line string: without its line end
-- @return table: the target, see the head of this file
-- @return nil, number, string, string: the status, code and reason of the refusal
function _M.parse(line)
    local first = find(line, " ", 1, true)
    if not first then
        return bad("a request line without a target")
    end
    local second = find(line, " ", first + 1, true)
    if not second then
        return bad("a request line without a protocol (HTTP/0.9)")
    end
    local protocol = sub(line, second + 1)
    if not PROTOCOLS[protocol] then
        if find(protocol, "^HTTP/%d+%.%d+$") then
            return nil, 505, "http_version_not_supported", "the protocol " .. protocol
        end
        return bad("a request line that is not METHOD SP TARGET SP PROTOCOL")
    end

    local start, authority = first + 1, nil
    if byte(line, start) ~= 0x2F then
        local _, scheme_end = find(line, "^[Hh][Tt][Tt][Pp][Ss]?://", start)
        if not scheme_end then
            return bad("a target that is neither in origin form nor an http(s) URL")
        end
        start = find(line, "[/?#\\ ]", scheme_end + 1)
        authority = sub(line, scheme_end + 1, start - 1)
        if authority == "" then
            return bad("a URL without a host in the request line")
        elseif find(authority, "@", 1, true) then
            return bad("user information in the request line")
        end
    end

    local question = find(line, "?", start, true)
    local path, key, reason = read_path(sub(line, start, (question or second) - 1))
    if not path then
        return ambiguous(reason)
    end
    if path == "" then
        path, key = "/", "/"                     -- RFC 9112 section 3.2.1: http://host is for "/"
    elseif byte(path) ~= 0x2F then
        return bad("a path that does not begin with /")
    end
    local query, forward = nil, path
    if question then
        query = sub(line, question + 1, second - 1)
        reason = judge_query(query)
        if reason then
            return ambiguous(reason)
        end
        forward = path .. "?" .. query
    end
    return {
        method = sub(line, 1, first - 1),
        path = path,
        key = key,
        query = query,
        forward = forward,
        authority = authority,
        protocol = protocol,
    }
end

return _M
