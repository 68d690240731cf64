--- When to fetch a key set again.

local max = math.max
local min = math.min

local _M = {}

-- Seconds. An issuer that says nothing is asked every five minutes. However it is set up, a key
-- that it takes back is gone within the hour, and it is not asked more often than every 5 seconds.
local DEFAULT, SHORTEST, LONGEST = 300, 5, 3600
local FIRST_RETRY, LONGEST_RETRY = 1, 30

--- After an answer that was taken.
-- @param fresh number|nil: for how many seconds the issuer says that its answer is fresh
-- @param random number: from 0 to 1. Gateways that started together drift apart; none polls later
--   than the issuer said, so that a key is known before it signs
-- @return number: seconds until the next fetch
function _M.after_success(fresh, random)
    return max(SHORTEST, min(fresh or DEFAULT, LONGEST) * (1 - random / 10))
end

--- After a fetch that failed: back-off that doubles, by half jittered, so that an issuer that comes
-- back is not met by all gateways at once.
-- @param failures number: how many in a row, 1 or more
-- @param random number: from 0 to 1
-- @return number: seconds until the next fetch
function _M.after_failure(failures, random)
    local delay = min(FIRST_RETRY * 2 ^ min(failures - 1, 10), LONGEST_RETRY)
    return delay * (1 - random / 2)
end

return _M
