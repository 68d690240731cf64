--- The ordered walk through the guards of the matched route; the one place that applies a mode.
--
-- enforce: a verdict refuses the request; a guard that fails refuses it too (500).
-- observe: verdicts and failures are logged and counted, and the request goes on.
-- off: the guard is not in the plan.

local audit = require("bartizan.audit")
local bit = require("bit")

local band = bit.band
local bor = bit.bor
local error = error
local ipairs = ipairs
local lshift = bit.lshift
local pcall = pcall
local require = require
local tostring = tostring

local ngx = ngx
local ngx_log = ngx.log
local ERR = ngx.ERR

local _M = {}

-- What was begun is remembered as bits of one number.
local MAX_STEPS = 31

local BROKEN = { status = 500, code = "internal_error" }

--- Makes the guards of a plan. Runs once, at load.
-- @param plan table: an array of {guard, mode, settings}
-- @param shared table: what guards share
-- @return table: the plan's steps, for `walk`
-- Raises a string where a guard does not exist or its settings are not usable.
function _M.plan(plan, shared)
    if #plan > MAX_STEPS then
        error("a plan of more than " .. MAX_STEPS .. " guards", 0)
    end
    -- careful: whether some guard observes. releases: those steps that have something to give back.
    local steps = { careful = false, releases = {} }
    for i, item in ipairs(plan) do
        if item.mode ~= "enforce" and item.mode ~= "observe" then
            error("guard " .. item.guard .. ": mode " .. tostring(item.mode), 0)
        end
        local module = require("bartizan.guards." .. item.guard)
        steps[i] = {
            name = module.name,
            mode = item.mode,
            observing = item.mode == "observe",
            check = module.check,
            release = module.release,
            start = module.start,
            guard = module.new(item.settings, shared),
            bit = lshift(1, i - 1),
        }
        steps.careful = steps.careful or item.mode == "observe"
        if module.release then
            steps.releases[#steps.releases + 1] = steps[i]
        end
    end
    return steps
end

local function decide(step, request, verdict)
    audit.decision(request, verdict.failed and "failed" or step.observing and "observed"
                   or "refused", step.name, step.mode, verdict, verdict.reason)
    return not step.observing and verdict or nil
end

-- Before the check, for it may take something whatever comes of it: one that observes takes what it
-- says is too much, one that waits may be ended where it waits.
local function note_passed(request, step)
    if step.release then
        request.passed = bor(request.passed, step.bit)
    end
end

-- Asks a guard of a plan that enforces all. One that fails raises: nginx then refuses the request
-- with 500, and refused.lua finds here which guard it was.
local function ask(step, request)
    if not step then
        return nil
    end
    note_passed(request, step)
    request.asking = step
    local verdict = step.check(step.guard, request, false)
    if verdict then
        return decide(step, request, verdict)
    end
    return nil
end

-- The same for a plan in which some guard observes, whose failure must not end the request.
local function ask_carefully(steps, request)
    for i = 1, #steps do
        local step = steps[i]
        note_passed(request, step)
        local ok, verdict = pcall(step.check, step.guard, request, step.observing)
        if not ok then
            ngx_log(ERR, "guard ", step.name, " failed: ", verdict)
            verdict = _M.broken(step, request, tostring(verdict))
        elseif verdict then
            verdict = decide(step, request, verdict)
        end
        if verdict then
            return verdict
        end
    end
    return nil
end

--- Walks through the guards.
--
-- Without a loop (few plans have a ninth guard), and without pcall: LuaJIT makes one trace of a
-- walk only if there is neither. It leaves a loop to a trace of its own, which guards of many kinds
-- break up, and can't return from a side trace through pcall.
-- @param request table
-- @return nil: all are content
-- @return table: the verdict that refuses the request
function _M.walk(request)
    local steps = request.route.steps
    if steps.careful then
        return ask_carefully(steps, request)
    end
    local verdict = ask(steps[1], request) or ask(steps[2], request) or ask(steps[3], request)
        or ask(steps[4], request) or ask(steps[5], request) or ask(steps[6], request)
        or ask(steps[7], request) or ask(steps[8], request)
    for i = 9, #steps do
        verdict = verdict or ask(steps[i], request)
    end
    request.asking = nil
    return verdict
end

--- What becomes of a request of which a guard failed: the error log has why for whoever repairs it,
--- the audit log what it meant.
-- @return table: the verdict; nil where the guard only observes
function _M.broken(step, request, reason)
    audit.decision(request, "failed", step.name, step.mode, BROKEN, reason)
    return not step.observing and BROKEN or nil
end

local function give_back(step, request)
    if not step or band(request.passed, step.bit) == 0 then
        return
    end
    local ok, err = pcall(step.release, step.guard, request)
    if not ok then
        ngx_log(ERR, "guard ", step.name, " could not give back: ", err)
    end
end

--- Gives back what the guards took that were asked, in the log phase; one that fails keeps none of
--- the others from it.
function _M.release(request)
    if request.passed == 0 then
        return
    end
    local releases = request.route.steps.releases
    give_back(releases[1], request)
    give_back(releases[2], request)
    for i = 3, #releases do
        give_back(releases[i], request)
    end
    request.passed = 0
end

return _M
