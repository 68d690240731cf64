--- The log phase: it always runs, whatever became of the request. What guards took is given back,
--- the request is counted, and what nginx writes to its logs is made ready.

local access = require("bartizan.access")
local audit = require("bartizan.audit")
local metrics = require("bartizan.metrics")
local redact = require("bartizan.redact")
local text = require("bartizan.text")

local find = string.find
local format = string.format
local match = string.match
local printable = text.printable
local redact_path = redact.path
local redact_query = redact.query
local sub = string.sub

local ngx = ngx
local ngx_now = ngx.now
local start_time = ngx.req.start_time
local var = ngx.var

local _M = {}

local SHOWN_BOUND = 4096

-- How a request ends that nobody answers: it was not whole in time (nginx says 408 and hangs up),
-- or its HTTP/2 stream was reset (no status).
local ABORTED = {
    [0] = { status = 0, code = "stream_reset" },
    [400] = { status = 400, code = "bad_request" },
    [408] = { status = 408, code = "request_timeout" },
}

local function note_aborted(request, status)
    local verdict = ABORTED[status]
    -- An upstream may answer 400 or 408, too.
    if verdict and not request.verdict and not var.upstream_status then
        audit.decision(request, "aborted", "edge", "enforce", verdict,
                       "the request ended before it was whole")
    end
end

-- Answers that have no body, or whose end is an upgraded connection's.
local BODILESS = { [101] = true, [204] = true, [304] = true }

-- An answer that the upstream began, and did not bring to its end. The status was sent by then, so
-- this is all that is to be seen of it.
-- nginx counts a request as complete whose answer the upstream left short, but not one whose client
-- went, or took nothing any more. Known limit: an answer with chunks that nginx can't read is not
-- complete either, so it is taken for one whose client went; nginx's error log has it.
local function note_cut_off(request, status)
    if request.method == "HEAD" or BODILESS[status] or request.verdict
        or not var.upstream_status or var.request_completion ~= "OK"
    then
        return
    end
    audit.decision(request, "failed", "upstream", "enforce",
                   { status = status, code = "upstream_cut_off" },
                   "the upstream's answer broke off, or nothing more of it came in time")
end

-- What is to be shown of a target that was not read, or that holds secrets; nil where the logs can
-- show it as it came: then it is plain ASCII.
local function shown(request)
    local path, query = request.path, request.query
    if not path then
        -- "METHOD TARGET PROTOCOL", or whatever came in its place.
        local line = request.line or ""
        local method, target = match(line, "^(%u+) ([^ ]*)")
        request.method = request.method or method
        return printable(redact.target(target or line), SHOWN_BOUND)
    elseif query then
        local masked = redact_query(query)
        if masked ~= query then
            return redact_path(path) .. "?" .. masked
        end
    end
    local masked = redact_path(path)
    if masked ~= path then
        return masked .. (query and "?" .. query or "")
    end
    return nil
end

local function split(target)
    local question = find(target, "?", 1, true)
    if question then
        return sub(target, 1, question - 1), sub(target, question + 1)
    end
    return target, nil
end

local function write_audit(request, target)
    if target then
        request.shown_path, request.shown_query = split(target)
    else
        request.shown_path, request.shown_query = request.path, request.query
    end
    var.bartizan_audit = audit.lines(request)
end

-- The longer way to write a line: the request ended here, or its target must not be shown raw.
local function show(request, target)
    var.bartizan_ended = "1"
    var.bartizan_method = request.method or "-"
    if request.host then
        var.bartizan_read = "1"
    end
    if target then
        var.bartizan_shown = target
    end
    if request.client then
        var.bartizan_client = request.client
    end
    if request.verdict then
        var.bartizan_verdict = request.verdict
    end
end

--- Ends a request.
-- @param request table
-- @param status number: what nginx logs
function _M.run(request, status)
    access.release(request)
    note_aborted(request, status)
    if request.forwarded and not request.whole then
        note_cut_off(request, status)
    end
    local route = request.route
    metrics.request(route, status, ngx_now() - start_time())
    if route then
        var.bartizan_route = route.name
    end
    if request.decided then
        var.bartizan_decided = format("%d", request.decided)
    end
    local target = shown(request)
    if status == 101 then
        -- What nginx knows of the request line is the client's to write by now: see forward.lua.
        target = target or match(request.line, "^%u+ ([^ ]+)")
    end
    if target or request.verdict or not request.forwarded then
        show(request, target)
    end
    if request.events then
        write_audit(request, target)
    end
end

return _M
