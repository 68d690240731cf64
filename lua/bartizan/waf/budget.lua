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

-- While a request is under way: what was used when it began, and when to look again.
local base, deadline

--- Sets the budget of a request, or of a match outside of any, for this process.
function _M.set(milliseconds)
    limit = milliseconds * MILLISECONDS
end

--- Begins a request's budget. It must be over before the worker turns to another request.
function _M.begin()
    base, deadline = used(), now() + limit
end

--- Ends it.
function _M.finish()
    base = nil
end

--- Whether a budget was begun.
function _M.is_running()
    return base ~= nil
end

--- How much of the budget is left.
-- @return number: of microseconds, negative where more was used than there was
function _M.left()
    return limit - (used() - base)
end
local left = _M.left

--- Whether the budget that was begun is spent.
function _M.is_spent()
    if now() < deadline then
        return false
    end
    local rest = left()
    deadline = now() + rest
    return rest <= 0
end

return _M
