--- How much processor time the regular expressions of one request may take.
--
--     budget.begin()          -- before the first match of a request
--     if budget.is_spent() then … end
--     budget.finish()
--
-- A match limit bounds what a value costs badly (see bartizan.waf.pcre2), and a request has many.
--
-- Processor time, for a busy machine must not make verdicts; it is read only when the monotonic
-- clock, which costs little, says that it may have run out.

local clock = require("bartizan.clock")

local now = clock.now
local used = clock.used

local MILLISECONDS = 1000

local _M = {}

local limit = 200 * MILLISECONDS

local running = false
-- From the first look on: what was used by then, and when to look at that clock again.
local base, deadline

--- Sets the budget of a request, or of a match outside of any, for this process.
function _M.set(milliseconds)
    limit = milliseconds * MILLISECONDS
end

--- Begins a request's budget; one that was not finished is forgotten. The worker must not turn to
-- another request before it is finished.
function _M.begin()
    running, base = true, nil
end

--- Ends it.
function _M.finish()
    running = false
end

--- Whether a budget was begun.
function _M.is_running()
    return running
end

-- At the first match: a request that needs none costs no system call.
local function start()
    base, deadline = used(), now() + limit
end

--- How much of the budget is left.
-- @return number: of microseconds, negative where more was used than there was
function _M.left()
    if not base then
        start()
    end
    return limit - (used() - base)
end
local left = _M.left

--- Whether the budget that was begun is spent.
function _M.is_spent()
    if not base then
        start()
    end
    if now() < deadline then
        return false
    end
    local rest = left()
    deadline = now() + rest
    return rest <= 0
end

return _M
