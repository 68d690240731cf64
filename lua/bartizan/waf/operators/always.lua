--- Operators that look at nothing.

local _M = {}

local function matches(_, value)
    return true, value
end

local function matches_not()
    return false
end

--- unconditionalMatch
-- Description: matches always; for rules whose actions are to run whatever the value is.
-- Arguments: none.
-- Returns: the value.
-- Example: SecRule REMOTE_ADDR "@unconditionalMatch" "id:1000,phase:1,pass,nolog,t:hexEncode"
function _M.unconditionalMatch(op)
    op.check = matches
end

--- noMatch
-- Description: never matches; for switching a rule off.
-- Arguments: none.
-- Returns: nothing.
-- Example: SecRule ARGS "@noMatch" "id:1001,pass"
function _M.noMatch(op)
    op.check = matches_not
end

return _M
