-- Asks the rule engine what a request matches of the rules: the OWASP Core Rule Set, and the
-- operator's own.
--
-- Settings: plan: the folder of a compiled plan. window: how many bytes of a body are read.
--     incomplete: "refuse" or "pass", what becomes of a request that can't be inspected whole.
-- Verdicts:
--     403 waf_refused         a rule refuses it, as that on the anomaly score does; or the status
--                             that the rule names. The client never learns which.
--     413 415 400 not_inspected     the body is too long for the window, of a kind or encoding that
--                             is not read, or not well-formed; more arguments or cookies than read
--     403 waf_undecided       a rule comes to no answer on it (a match limit)
--     500 waf_failed          the engine met an error: nothing is known
-- Sets on the request: inspection, for the audit log, where there is something to say.
--
-- A request with a body must come in the access phase: it may have to be waited for.

local audit = require("bartizan.audit")
local inspection = require("bartizan.inspection")
local requests = require("bartizan.requests")

local concat = table.concat
local decision = audit.decision
local error = error
local format = string.format
local id_of = requests.id
local inspect = inspection.run
local sub = string.sub
local tally = inspection.tally
local type = type

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

-- Of requests that go on.
local MATCHED = { status = 0, code = "waf_matched" }
local UNREAD = { status = 0, code = "not_inspected" }

local function new(settings, shared)
    if type(settings.plan) ~= "string" then
        error("waf: plan must be the folder of a compiled plan", 0)
    elseif settings.incomplete ~= "refuse" and settings.incomplete ~= "pass" then
        error("waf: incomplete must be refuse or pass", 0)
    elseif type(settings.window) ~= "number" then
        error("waf: window must be a number of bytes", 0)
    end
    return {
        -- Plans differ in what was compiled; guards of other modes and windows share one.
        rules = inspection.load(settings.plan, shared),
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
        content_length = request.content_length,
        address = request.address,
        id_of = id_of,
        request = request,
    }
end

-- HTTP/2 has bodies that nothing in the head announces.
local function may_have_body(request)
    return request.content_length ~= nil or request.transfer_encoding ~= nil or request.http2
end

local function rules_of(matches)
    local ids = {}
    for i = 1, #matches do
        ids[i] = format("%d", matches[i].id)
    end
    return concat(ids, ", ")
end

local function why_incomplete(found)
    local known = INCOMPLETE[found.why]
    return found.form or known and known.reason or found.why
end

local function refusal(guard, found)
    local verdict = {
        status = 403, code = "waf_refused",
        reason = format("anomaly score %d, limit %d: rules %s", inspection.score(found),
                        guard.rules.settings.inbound, rules_of(found.matches)),
    }
    local disruptive = found.disruptive
    local status = disruptive.status
    if disruptive.action == "redirect" then
        verdict.status = status and status >= 300 and status < 400 and status or 302
        verdict.headers = { Location = disruptive.argument }
    elseif status and status >= 400 and status < 600 then
        verdict.status = status
    end
    return verdict
end

local function verdict_of(guard, found)
    if found.disruptive then
        return refusal(guard, found)
    elseif found.is_undecided then
        -- Whoever sends it can make it so: nothing of ours has failed.
        return { status = 403, code = "waf_undecided", reason = found.problem }
    elseif found.problem then
        return { status = 500, code = "waf_failed", failed = true, reason = found.problem }
    elseif found.complete ~= "full" and guard.refuses_incomplete and not ALLOWED[found.why] then
        return INCOMPLETE[found.why]
            or { status = 400, code = "not_inspected", reason = why_incomplete(found) }
    end
    return nil
end

local function note(request, found, mode)
    local matches = found.matches
    if #matches > 0 then
        decision(request, "noted", "waf", mode, MATCHED, "rules " .. rules_of(matches))
    else
        decision(request, "noted", "waf", mode, UNREAD, why_incomplete(found))
    end
end

local function check(guard, request, observing)
    local window = may_have_body(request) and guard.window or nil
    local found = inspect(guard.rules, source_of(request), window, not observing)
    tally(found)
    local verdict = verdict_of(guard, found)
    if not verdict and found.complete == "full" and #found.matches == 0 then
        return nil
    end
    request.inspection = inspection.report(guard.rules, found)
    if not verdict then
        note(request, found, observing and "observe" or "enforce")
    end
    return verdict
end

return { name = "waf", new = new, check = check }
