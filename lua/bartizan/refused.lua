--- nginx's own refusals, and what went wrong behind us: answered and audited like ours.
--
-- nginx comes here by error_page, with the status that it decided on. What it refused before the
-- request was routed arrives without a request of ours, with the header fields read so far.

local access = require("bartizan.access")
local audit = require("bartizan.audit")
local intake = require("bartizan.intake")
local reply = require("bartizan.reply")
local requests = require("bartizan.requests")

local id_of = requests.id

local find = string.find

local ngx = ngx
local ngx_log = ngx.log
local var = ngx.var
local ERR = ngx.ERR

local _M = {}

local INTERNAL = {
    status = 500, code = "internal_error", guard = "edge", decision = "failed",
    reason = "an error inside the gateway; the error log has it",
}

local function refusal(status, code, reason)
    return { status = status, code = code, guard = "edge", decision = "refused", reason = reason }
end

local function failure(status, code, reason)
    return { status = status, code = code, guard = "upstream", decision = "failed",
             reason = reason }
end

local VERDICTS = {
    [400] = refusal(400, "bad_request", "nginx: not well-formed HTTP"),
    [403] = refusal(403, "forbidden", "nginx: not readable"),
    [404] = refusal(404, "no_route", "nginx: no such file"),
    [405] = refusal(405, "method_not_allowed", "nginx: a method that is never served"),
    [408] = refusal(408, "request_timeout", "nginx: the request did not come in time"),
    [411] = refusal(411, "length_required", "nginx: a body without a length"),
    [413] = refusal(413, "body_too_large", "nginx: a body over the cap of the route"),
    [414] = refusal(414, "uri_too_long", "nginx: a request line over 16 KiB"),
    [415] = refusal(415, "unsupported_media_type", "nginx: an encoding that is not known"),
    [416] = refusal(416, "range_not_satisfiable", "nginx: no such range"),
    [421] = refusal(421, "misdirected_request", "nginx: not for this server"),
    [429] = refusal(429, "too_many_connections", "nginx: too many connections of one address"),
    [431] = refusal(431, "header_too_large", "nginx: a header over 4 times 16 KiB"),
    [501] = refusal(501, "not_implemented", "nginx: a transfer coding that is not known"),
    [502] = failure(502, "upstream_unavailable", "no server of the upstream could be reached"),
    [503] = failure(503, "upstream_unavailable", "the upstream is not available"),
    [504] = failure(504, "upstream_timeout", "the upstream did not answer in time"),
    [505] = refusal(505, "http_version_not_supported", "nginx: a protocol version"),
}

local UNREADABLE = failure(502, "upstream_unavailable", "the upstream's answer is no HTTP answer")

-- nginx makes it 500. It has chosen a server then, and has no status of it.
local NO_CONNECTION = failure(503, "upstream_unavailable",
    "no connection of this worker was left for the upstream")

-- nginx gives plain HTTP on a TLS port (497) the status 400 before it comes here.
local PLAIN_HTTP = refusal(400, "plain_http", "plain HTTP on the TLS port")

-- A guard raised an error, which nginx has logged just now: here is whose it was.
local function broken(request)
    local step = request.asking
    ngx_log(ERR, "guard ", step.name, " failed, see above: request ", id_of(request))
    return access.broken(step, request, "the guard failed; the error log has why")
end

--- Answers for nginx.
-- @param request table
-- @param listener string
function _M.run(request, listener)
    local status = ngx.status
    local verdict = VERDICTS[status] or INTERNAL
    if status == 400 and listener == "https" and var.scheme == "http" then
        verdict = PLAIN_HTTP
    elseif request.unreadable then
        verdict = UNREADABLE
    elseif status == 500 and find(var.upstream_status or "", "-$") then
        verdict = NO_CONNECTION
    elseif status == 405 then
        verdict = { status = 405, code = verdict.code, guard = "edge", decision = "refused",
                    reason = verdict.reason, headers = { Allow = intake.allowed(request) } }
    end
    if status == 500 and request.asking then
        return reply.refuse(request, broken(request))
    end
    audit.decision(request, verdict.decision, verdict.guard, "enforce", verdict, verdict.reason)
    return reply.refuse(request, verdict)
end

return _M
