--- The one place that turns a verdict into a response.
--
-- Refusals are problem details (RFC 9457). The client learns the code; the reason is in the audit
-- log, under the request id that both have.

local quote = require("bartizan.quote")
local requests = require("bartizan.requests")

local concat = table.concat
local format = string.format
local id_of = requests.id
local pairs = pairs
local pcall = pcall
local tostring = tostring
local type = type

local ngx = ngx
local discard_body = ngx.req.discard_body
local exit = ngx.exit
local get_headers = ngx.resp.get_headers
local header = ngx.header
local http_time = ngx.http_time
local ngx_time = ngx.time
local print = ngx.print
local send_headers = ngx.send_headers
local set_method = ngx.req.set_method
local HTTP_GET = ngx.HTTP_GET

local _M = {}

-- RFC 9110 section 15, RFC 6585.
local TITLES = {
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [408] = "Request Timeout",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
}

-- What may be said beyond the title: what the client can do about it, nothing of the rule.
local DETAILS = {
    bad_request = "The request is not well-formed HTTP.",
    body_too_large = "The request body is larger than this resource takes.",
    header_too_large = "The request header is too large.",
    insufficient_scope = "The access token lacks a scope that this resource needs.",
    keys_unavailable = "Access tokens can't be verified right now.",
    method_not_allowed = "This resource does not take the request method; see Allow.",
    no_route = "Nothing is served here.",
    not_canonical = "The request target has more than one reading; send it in its normal form.",
    not_inspected = "The request or its body has more parts, or is longer, or of another kind, "
        .. "than this resource takes.",
    plain_http = "This port speaks HTTPS.",
    token_invalid = "The access token is not accepted here.",
    token_missing = "An access token is needed, as Bearer in the Authorization header.",
    too_many_connections = "Too many connections from this address.",
    upstream_timeout = "The service took too long to answer.",
    upstream_unavailable = "The service can't be reached right now.",
    uri_too_long = "The request target is too long.",
    waf_refused = "The request is not accepted here.",
    waf_undecided = "The request is not accepted here.",
}

-- By how many seconds a client should come back where the verdict does not say.
local RETRY_AFTER = { [429] = "1", [503] = "5" }

-- What is left of the body is read away, so that it is never taken for the next request. nginx
-- can't do that where the body is not well-formed (chunks), and ngx_lua raises then.
-- Returns false where nginx must refuse the request, and close the connection.
local function discard_rest()
    return (pcall(discard_body))
end

-- nginx writes no head for a request that it takes for one of HTTP/0.9 (answered.lua), so the head
-- goes out as the beginning of the body: what nginx would have written, field by field.
local function print_head(status)
    set_method(HTTP_GET)        -- of a HEAD nothing would go out
    send_headers()              -- writes nothing, but runs what adds fields
    local lines = { format("HTTP/1.1 %d %s", status, TITLES[status]),
                    "Date: " .. http_time(ngx_time()), "Connection: close" }
    for name, value in pairs(get_headers(0, true)) do
        if name ~= "connection" then
            lines[#lines + 1] = name .. ": "
                .. (type(value) == "table" and concat(value, ", ") or value)
        end
    end
    print(concat(lines, "\r\n"), "\r\n\r\n")
end

--- Answers with a verdict and ends the request.
-- @param request table
-- @param verdict table: {status, code, headers|nil}
function _M.refuse(request, verdict)
    if not discard_rest() then
        return exit(400)
    end
    local status = verdict.status
    ngx.status = status
    header["Content-Type"] = "application/problem+json"
    header["Cache-Control"] = "no-store"
    -- Nothing of ours is a page; whatever a browser makes of it can do nothing.
    header["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    if RETRY_AFTER[status] then
        header["Retry-After"] = RETRY_AFTER[status]
    end
    if verdict.headers then
        for name, value in pairs(verdict.headers) do
            header[name] = value
        end
    end
    local code = verdict.code
    local detail = DETAILS[code]
    local body = concat({
        '{"type":"about:blank","title":"', TITLES[status] or "Error",
        '","status":', tostring(status),
        detail and ',"detail":' .. quote(detail) or "",
        request.path and ',"instance":' .. quote(request.path) or "",
        ',"code":"', code,
        '","request_id":"', id_of(request),
        '"}\n',
    })
    header["Content-Length"] = #body
    if request.headless then
        print_head(status)
        body = request.method ~= "HEAD" and body or ""
    end
    print(body)
    return exit(status)
end

--- Answers with a status and headers, and a small JSON body or none.
-- @param status number
-- @param headers table|nil
-- @param body string|nil
function _M.send(status, headers, body)
    if not discard_rest() then
        return exit(400)
    end
    ngx.status = status
    if headers then
        for name, value in pairs(headers) do
            header[name] = value
        end
    end
    if body then
        header["Content-Type"] = "application/json"
        header["Cache-Control"] = "no-store"
        header["Content-Length"] = #body
        print(body)
    else
        if status ~= 204 then                   -- RFC 9110 section 8.6: never in a 204
            header["Content-Length"] = 0
        end
        header["Content-Type"] = nil
        ngx.send_headers()
    end
    return exit(status)
end

return _M
