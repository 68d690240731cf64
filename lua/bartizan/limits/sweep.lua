-- What the limits need not keep is taken away: full buckets, and keys of which nobody is inside.
--
-- The entries have no lifetime of the dict's own: that follows the wall clock, and setting the
-- clock would forget all buckets at once or keep them for ever. Instead the entries that were
-- touched longest ago are looked at, a bounded number at a time. Looking at one touches it, so that
-- the next look finds others.

local keys = require "bartizan.limits.keys"
local slots = require "bartizan.limits.slots"

local kind = keys.kind
local reap = slots.reap

local _M = {}

--- Take an entry away if nothing is lost by it. Called within a transaction.
-- @return whether it was taken away
function _M.examine(store, key, now)
    local row = store:find(key)
    if not row then
        return false
    end
    local what = kind(key)
    if what == "bucket" and store:instant(row) <= now then
        store:drop_bucket(key, row)
        return true
    elseif what == "slots" and reap(store, row) == 0 then
        store:drop_slots(key, row)
        return true
    end
    return false
end

local examine = _M.examine

--- Look at the entries touched longest ago, each in a transaction of its own.
-- @param count how many at most
-- @return how many were taken away
function _M.sweep(store, now, count)
    local taken = 0
    local oldest = store:oldest(count)
    for i = 1, #oldest do
        store:begin()
        if examine(store, oldest[i], now) then
            taken = taken + 1
        end
        store:finish()
    end
    return taken
end

return _M
