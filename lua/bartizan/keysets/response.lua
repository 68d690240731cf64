--- What came back over the wire from a key set's address, read as HTTP (RFC 9112 section 4 to 6).
--
-- The wire is nginx's own Unix socket, and the request was HTTP/1.0: the body ends where the
-- connection does, and nothing is chunked.

local find = string.find
local gmatch = string.gmatch
local lower = string.lower
local match = string.match
local max = math.max
local sub = string.sub
local tonumber = tonumber

local _M = {}

-- An ETag comes back to the issuer in a header, and stands in shared memory until then.
local ETAG_MAX_LENGTH = 256

-- RFC 9110 section 5.3: fields of one name are one list.
local function read_fields(head)
    local fields = {}
    for name, value in gmatch(head, "\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
        name = lower(name)
        fields[name] = fields[name] and fields[name] .. ", " .. value or value
    end
    return fields
end

-- For how many seconds the answer is fresh (RFC 9111 section 4.2): max-age less what it has aged
-- on its way. no-store and no-cache mean: not at all.
local function freshness(fields)
    local control = "," .. lower(fields["cache-control"] or ""):gsub("%s", "") .. ","
    if find(control, ",no-store,", 1, true) or find(control, ",no-cache,", 1, true) then
        return 0
    end
    local seconds = match(control, ',max%-age="?(%d+)"?,')
    if not seconds then
        return nil
    end
    return max(0, tonumber(seconds) - (tonumber(match(fields["age"] or "", "^%d+$")) or 0))
end

--- Reads a response.
-- @param raw string: all that came until the connection was closed
-- @return table: {status = number, body = string, etag = string|nil, fresh = seconds|nil}
-- @return nil, string: it is no response, or not all of it came
function _M.parse(raw)
    local status = match(raw, "^HTTP/1%.[01] (%d%d%d)[ \r]")
    local head_end, body_start = find(raw, "\r\n\r\n", 1, true)
    if not status or not head_end then
        return nil, "the answer is no HTTP response"
    end
    local fields = read_fields(sub(raw, 1, head_end - 1))
    local body = sub(raw, body_start + 1)
    local length = fields["content-length"]
    if length and tonumber(length) ~= #body then
        return nil, "the answer was cut off"
    end
    local etag = fields["etag"]
    -- RFC 9110 section 8.8.3: etagc is visible ASCII (and obs-text, which nobody needs).
    if etag and (#etag > ETAG_MAX_LENGTH or not find(etag, '^W?/?"[!#-~]*"$')) then
        etag = nil
    end
    return { status = tonumber(status), body = body, etag = etag, fresh = freshness(fields) }
end

return _M
