--- The log phase: it always runs, whatever became of the request. What guards took is given back,
--- the request is counted, and what nginx writes to its logs is made ready.

local access = require("bartizan.access")
local audit = require("bartizan.audit")
local line = require("bartizan.line")
local metrics = require("bartizan.metrics")
local quote = require("bartizan.quote")
local redact = require("bartizan.redact")
local requests = require("bartizan.requests")
local text = require("bartizan.text")

local assign = line.assign
local begin = line.begin
local find = string.find
local format = string.format
local id_of = requests.id
local ipairs = ipairs
local match = string.match
local printable = text.printable
local put = line.put
local put_digits = line.digits
local put_id = line.id
local sub = string.sub

local ngx = ngx
local ngx_now = ngx.now
local start_time = ngx.req.start_time
local var = ngx.var
local worker_pid = ngx.worker.pid

local _M = {}

local SHOWN_BOUND = 4096

local names = {}                -- by route: its part of a line, up to the client's name
local worker                    -- the end of that part

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

--- Writes down what is always the same of the lines to come. Runs once, in the master.
-- @param routes table: an array of routes with name
function _M.init(routes)
    for _, route in ipairs(routes) do
        names[route] = '","route":' .. quote(route.name) .. ',"client":"'
    end
end

--- The same, in a worker.
function _M.start()
    worker = '","worker":' .. worker_pid()
end

-- Names of clients that need no escape. Issuers choose them, so they are not many.
local function is_loggable(client)
    return not client or not find(client, '"', 1, true) and not find(client, "\\", 1, true)
end

-- What is to be shown of a target that was not read, or that holds secrets; nil where the logs can
-- show it as it came: then it is plain ASCII.
local function shown(request)
    if request.path then
        return request.shown
    end
    -- "METHOD TARGET PROTOCOL", or whatever came in its place.
    local raw = request.line or ""
    local method, target = match(raw, "^(%u+) ([^ ]*)")
    request.method = request.method or method
    return printable(redact.target(target or raw), SHOWN_BOUND)
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
    var.bartizan_id = id_of(request)
    var.bartizan_method = request.method or "-"
    if request.host then
        var.bartizan_read = "1"
    end
    if target then
        var.bartizan_shown = target
    end
    if request.route then
        var.bartizan_route = request.route.name
    end
    if request.client then
        var.bartizan_client = request.client
    end
    if request.verdict then
        var.bartizan_verdict = request.verdict
    end
    if request.decided then
        var.bartizan_decided = format("%d", request.decided)
    end
end

local FACTS = line.variable("bartizan_facts")

-- The shorter way: nginx writes the target and what it counted itself, as they are; this is what it
-- does not know. The beginning is in nginx.conf.
local function write_facts(request)
    begin()
    put_id(request.drawn, request.number)
    put(names[request.route])
    if request.client then
        put(request.client)
    end
    put('","verdict":"passed","decided":"')
    if request.decided then
        put_digits(request.decided)
    end
    put(worker)
    assign(FACTS)
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
    metrics.request(request.route, status, ngx_now() - start_time())
    if request.loggable and request.forwarded and not request.events and status >= 200
        and is_loggable(request.client)
    then
        write_facts(request)
        return
    end
    local target = shown(request)
    if status == 101 then
        -- What nginx knows of the request line is the client's to write by now: see forward.lua.
        target = target or match(request.line, "^%u+ ([^ ]+)")
    end
    show(request, target)
    if request.events then
        write_audit(request, target)
    end
end

return _M
