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
    local steps = {}
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
    end
    return steps
end

-- A guard that fails: in the error log for whoever repairs it, in the audit log for what it meant.
local function broken(step, request, err)
    ngx_log(ERR, "guard ", step.name, " failed: ", err)
    audit.decision(request, "failed", step.name, step.mode, BROKEN, tostring(err))
    return not step.observing and BROKEN or nil
end

local function decide(step, request, verdict)
    audit.decision(request, step.observing and "observed" or "refused", step.name, step.mode,
                   verdict, verdict.reason)
    return not step.observing and verdict or nil
end

--- Walks through the guards.
-- @param request table
-- @return nil: all are content
-- @return table: the verdict that refuses the request
function _M.walk(request)
    local steps = request.route.steps
    for i = 1, #steps do
        local step = steps[i]
        -- Before the check, for it may take something whatever comes of it: one that observes takes
        -- what it says is too much, one that waits may be ended where it waits.
        if step.release then
            request.passed = bor(request.passed, step.bit)
        end
        local ok, verdict = pcall(step.check, step.guard, request, step.observing)
        if not ok then
            verdict = broken(step, request, verdict)
        elseif verdict then
            verdict = decide(step, request, verdict)
        end
        if verdict then
            return verdict
        end
    end
    return nil
end

--- Gives back what the guards took that were asked, in the log phase; one that fails keeps none of
--- the others from it.
function _M.release(request)
    if request.passed == 0 then
        return
    end
    local steps = request.route.steps
    for i = 1, #steps do
        local step = steps[i]
        if band(request.passed, step.bit) ~= 0 then
            local ok, err = pcall(step.release, step.guard, request)
            if not ok then
                ngx_log(ERR, "guard ", step.name, " could not give back: ", err)
            end
        end
    end
    request.passed = 0
end

return _M
