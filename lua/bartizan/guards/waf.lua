-- Asks the rule engine: what does this request match of the rules (the OWASP Core Rule Set, and the
-- operator's own)?
--
-- Settings: plan: a folder, that of a compiled plan. window: how many bytes of a body are read.
--     incomplete: "refuse" or "pass", what becomes of a body that can't be inspected whole.
-- Verdicts:
--     403 waf_refused         a rule refused it, as that on the anomaly score does; or the status
--                             that the rule names. The client never learns which.
--     413 415 400 not_inspected     the body is too long for the window, of a kind or encoding that
--                             is not read, or not well-formed; more arguments or cookies than read
--     500 waf_failed          the engine met an error, or a bound of its own: nothing is known
-- Sets on the request: inspection, for the audit log, where there is something to say.
--
-- Phase 1 of the rules sees the head of a request, phase 2 all of it. Where phase 1 refuses, the
-- body is not waited for.

local audit = require("bartizan.audit")
local body = require("bartizan.waf.body")
local collect = require("bartizan.waf.collect")
local engines = require("bartizan.waf.engine")
local json = require("bartizan.json")
local metrics = require("bartizan.metrics")
local report = require("bartizan.waf.report")
local requests = require("bartizan.requests")

local collect_body = collect.body
local collect_head = collect.head
local concat = table.concat
local count = metrics.count
local error = error
local format = string.format
local io_open = io.open
local pcall = pcall
local read_body = body.read
local run = engines.run
local set_processor = collect.set_processor
local sub = string.sub
local tonumber = tonumber
local tostring = tostring
local type = type

local ngx = ngx
local ngx_log = ngx.log
local ERR = ngx.ERR

-- By why a request was not inspected whole; what is not here was not well-formed, or too many.
local INCOMPLETE = {
    too_large = { status = 413, code = "not_inspected",
                  reason = "the body is longer than the window that is inspected" },
    media_type = { status = 415, code = "not_inspected",
                   reason = "the body is of a media type that is not read" },
    encoding = { status = 415, code = "not_inspected",
                 reason = "the body has a content encoding, which is not undone" },
}
-- Whoever wrote the rules wants it so.
local ALLOWED = { not_reached = true, disabled = true }

local function read_file(folder, name)
    local path = folder .. "/" .. name
    local file, err = io_open(path, "rb")
    if not file then
        error("waf: could not open a compiled rule file: " .. err, 0)
    end
    local bytes = file:read("*a")
    file:close()
    return bytes
end

local function load(folder)
    local plan, err = json.decode(read_file(folder, "plan.json"), json.OWN_FILE)
    if not plan then
        error(format("waf: %s/plan.json: not readable as JSON: %s", folder, err), 0)
    end
    return {
        engine = engines.new(plan, function(name) return read_file(folder, name) end, {}),
        settings = plan.settings,
        crs = type(plan.crs) == "string" and plan.crs or nil,
    }
end

local function new(settings, shared)
    local folder = settings.plan
    if type(folder) ~= "string" then
        error("waf: plan must be the folder of a compiled plan", 0)
    elseif settings.incomplete ~= "refuse" and settings.incomplete ~= "pass" then
        error("waf: incomplete must be refuse or pass", 0)
    elseif type(settings.window) ~= "number" then
        error("waf: window must be a number of bytes", 0)
    end
    -- Plans differ in what was compiled; modes and windows of guards share one.
    shared.rules = shared.rules or {}
    local rules = shared.rules[folder] or load(folder)
    shared.rules[folder] = rules
    return {
        rules = rules,
        window = settings.window,
        refuses_incomplete = settings.incomplete == "refuse",
    }
end

local function source_of(request)
    local line = request.line
    return {
        method = request.method,
        -- METHOD SP TARGET SP HTTP/1.1: target.lua saw to it.
        target = sub(line, #request.method + 2, -10),
        protocol = sub(line, -8),
        line = line,
        names = request.names,
        values = request.values,
        count = request.count,
        address = request.address,
        id = requests.id(request),
    }
end

-- HTTP/2 has bodies that nothing in the head announces.
local function may_have_body(request)
    return request.content_length ~= nil or request.transfer_encoding ~= nil or request.http2
end

-- Adds what a phase found. An inspection is {matches, score, complete, why, problem_of_form,
-- disruptive, problem, tx}; disruptive: what refuses the request. problem: what kept the engine
-- from an answer. problem_of_form: what is wrong with a request that could not be read whole.
local function add(inspection, outcome)
    local matches, found = inspection.matches, outcome.matches
    for i = 1, #found do
        matches[#matches + 1] = found[i]
    end
    inspection.disruptive = inspection.disruptive or outcome.disruptive
    inspection.problem = inspection.problem or outcome.error
    inspection.tx = outcome.tx
end

local function note_completeness(inspection, found)
    if found.complete ~= "full" then
        inspection.complete, inspection.why = found.complete, found.why
        inspection.problem_of_form = found.error
    end
end

local function inspect_body(guard, request, transaction, head, inspection)
    local data, more = read_body(guard.window)
    if not data then
        return
    end
    if head.processor then
        set_processor(transaction, head.processor)
    end
    transaction.force_body = head.force_body or false
    transaction.body_access = head.body_access ~= false
    collect_body(transaction, data, {
        window = guard.window,
        truncated = more,
        length = more and tonumber(request.content_length) or nil,
    })
    note_completeness(inspection, transaction.body)
end

-- One that only observes goes on, to tell all that would have matched.
local function inspect(guard, request, inspection, enforcing)
    local engine = guard.rules.engine
    local transaction = collect_head(source_of(request))
    local head = run(engine, transaction, 1, enforcing)
    add(inspection, head)
    note_completeness(inspection, transaction.head)
    local has_body = may_have_body(request)
    if head.finished or enforcing and (inspection.disruptive or inspection.problem) then
        if has_body then
            inspection.complete, inspection.why = "none", "not_reached"
        end
        return
    end
    if has_body then
        inspect_body(guard, request, transaction, head, inspection)
    end
    add(inspection, run(engine, transaction, 2, enforcing))
end

-- The Core Rule Set's own count: 4.x, 3.3.
local function score_of(tx)
    return tx and tonumber(tx.blocking_inbound_anomaly_score or tx.anomaly_score) or 0
end

local function rules_of(matches)
    local ids = {}
    for i = 1, #matches do
        ids[i] = format("%d", matches[i].id)
    end
    return concat(ids, ", ")
end

local function why_incomplete(inspection)
    local known = INCOMPLETE[inspection.why]
    return inspection.problem_of_form or known and known.reason or inspection.why
end

local function verdict_of(guard, inspection)
    local disruptive, problem = inspection.disruptive, inspection.problem
    if disruptive then
        local verdict = {
            status = 403, code = "waf_refused",
            reason = format("anomaly score %d, limit %d: rules %s", score_of(inspection.tx),
                            guard.rules.settings.inbound, rules_of(inspection.matches)),
        }
        local status = disruptive.status
        if disruptive.action == "redirect" then
            verdict.status = status and status >= 300 and status < 400 and status or 302
            verdict.headers = { Location = disruptive.argument }
        elseif status and status >= 400 and status < 600 then
            verdict.status = status
        end
        return verdict
    elseif problem then
        return { status = 500, code = "waf_failed", failed = true, reason = problem }
    elseif inspection.complete ~= "full" and guard.refuses_incomplete
        and not ALLOWED[inspection.why]
    then
        return INCOMPLETE[inspection.why]
            or { status = 400, code = "not_inspected", reason = why_incomplete(inspection) }
    end
    return nil
end

local MATCHED = { status = 0, code = "waf_matched" }
local UNREAD = { status = 0, code = "not_inspected" }
local CLEAN = "waf_body|full|"

-- What is known of a request that goes on, where there is something to say.
local function note(request, inspection, mode)
    if #inspection.matches > 0 then
        audit.decision(request, "noted", "waf", mode, MATCHED,
                       "rules " .. rules_of(inspection.matches))
    else
        audit.decision(request, "noted", "waf", mode, UNREAD, why_incomplete(inspection))
    end
end

local function tally(inspection)
    if inspection.complete == "full" then
        count(CLEAN)
    else
        count("waf_body|" .. inspection.complete .. "|" .. inspection.why)
    end
    local matches = inspection.matches
    for i = 1, #matches do
        count("waf_match|" .. format("%d", matches[i].id))
    end
end

local function check(guard, request, observing)
    local inspection = { matches = {}, score = 0, complete = "full", why = "" }
    local ok, err = pcall(inspect, guard, request, inspection, not observing)
    if not ok then
        ngx_log(ERR, "guard waf failed: ", err)
        inspection.problem = tostring(err)
    end
    tally(inspection)
    local verdict = verdict_of(guard, inspection)
    if not verdict and #inspection.matches == 0 and inspection.complete == "full" then
        return nil
    end
    local rules = guard.rules
    inspection.score = score_of(inspection.tx)
    request.inspection = report.write(inspection, rules.settings, rules.crs)
    if not verdict then
        note(request, inspection, observing and "observe" or "enforce")
    end
    return verdict
end

return { name = "waf", new = new, check = check }
