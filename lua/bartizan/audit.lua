--- The audit log: one event a decision, and in the metrics one count.
--
-- decision is one of
--     refused    a guard, the edge or nginx itself refused the request
--     observed   a guard in observe mode would have refused it
--     noted      rules matched, too little to refuse it
--     failed     something of ours or behind us did not work: a guard, an upstream
--     aborted    the client's request ended before it could be answered

local metrics = require("bartizan.metrics")
local quote = require("bartizan.quote")
local requests = require("bartizan.requests")
local text = require("bartizan.text")

local concat = table.concat
local date = os.date
local floor = math.floor
local format = string.format
local id_of = requests.id
local printable = text.printable
local tostring = tostring

local ngx = ngx
local ngx_now = ngx.now

local _M = {}

-- Bounds on what a client can make us write.
local PATH_BOUND = 2048
local TEXT_BOUND = 512

-- RFC 3339 in UTC, with milliseconds.
local function time(seconds)
    local whole = floor(seconds)
    return format("%s.%03dZ", date("!%Y-%m-%dT%H:%M:%S", whole), floor((seconds - whole) * 1000))
end

--- Records a decision. It is written in the log phase, with what is known then.
-- @param request table
-- @param decision string: see the head of this file
-- @param guard string
-- @param mode string: enforce or observe
-- @param verdict table: {status, code}
-- @param reason string|nil: for the log only
function _M.decision(request, decision, guard, mode, verdict, reason)
    local events = request.events
    if not events then
        events = {}
        request.events = events
    end
    events[#events + 1] = {
        time = ngx_now(),
        decision = decision,
        guard = guard,
        mode = mode,
        code = verdict.code,
        status = verdict.status,
        reason = reason or "",
    }
    if mode == "enforce" and decision ~= "noted" then
        request.verdict = verdict.code
    end
    metrics.verdict(guard, mode, decision, verdict.code, request.route)
end

-- What the rules say stands with the guard that asked them, or with the edge's own refusal.
local HAS_RULES = { waf = true, edge = true }

-- The names and values of an event, in the order in which people read it.
local function line(event, request)
    local inspection = HAS_RULES[event.guard] and request.inspection
    local route = request.route
    return concat({
        '{"time":"', time(event.time),
        '","request_id":"', id_of(request),
        '","decision":"', event.decision,
        '","guard":"', event.guard,
        '","code":"', event.code,
        '","status":', tostring(event.status),
        ',"mode":"', event.mode,
        '","reason":', quote(printable(event.reason, TEXT_BOUND)),
        ',"route":', quote(route and route.name or ""),
        ',"client":', quote(printable(request.client or "", TEXT_BOUND)),
        ',"address":', quote(request.address),
        ',"method":', quote(printable(request.method or "", TEXT_BOUND)),
        ',"host":', quote(printable(request.host or "", TEXT_BOUND)),
        ',"path":', quote(printable(request.shown_path or "", PATH_BOUND)),
        ',"query":', quote(printable(request.shown_query or "", PATH_BOUND)),
        inspection and ',"waf":' .. inspection or "",
        "}",
    })
end

--- Returns the events of a request as lines of JSON, without a line end after the last.
function _M.lines(request)
    local events = request.events
    local lines = {}
    for i = 1, #events do
        lines[i] = line(events[i], request)
    end
    return concat(lines, "\n")
end

return _M
