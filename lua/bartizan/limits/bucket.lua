-- The rate limit's arithmetic: a bucket of credit, kept as the one instant at which it is full.
--
-- This is the generic cell rate algorithm (ITU-T I.371, virtual scheduling). Each request moves
-- the instant one interval on; it is let through if the instant is then no further ahead of now
-- than the bucket is deep. A full bucket is an instant in the past, and need not be kept.
--
-- Exact: of n requests let through one after the other, with stamps from s to e, the first left the
-- instant at s + interval or later, each of the others moved it one interval on, and the last left
-- it at e + depth or before. So n * interval <= (e - s) + depth: n <= rate * t + burst.
--
-- The clock is read within the transaction. A worker that read it before, and was put aside until
-- others had emptied the bucket, it had filled again and was swept away, would come with an old
-- stamp to a bucket that is full.

local ceil = math.ceil

local _M = {}

--- The time between two requests of a rate.
-- Rounded up to 1/256 us: a double adds such numbers without error for the first year of uptime
-- (2^45 us), and their sum is never more than the rate.
-- @param limit how many requests
-- @param period in how many seconds
-- @return microseconds
function _M.interval(limit, period)
    return ceil(period * 1000000 * 256 / limit) / 256
end

--- Take one request's credit, in one transaction.
-- @param store the store (store.lua says what it offers)
-- @param key the bucket
-- @param interval microseconds of credit that a request costs
-- @param depth microseconds of credit that a full bucket holds: burst * interval
-- @return the stamp of the decision (microseconds), and then
--     let through: for how long it must wait to leave at the rate, and how much of the depth is
--         used now, both in microseconds;
--     nil, "refused" and the microseconds after which one would be let through;
--     nil, "full" if the store has no room for the bucket
function _M.take(store, key, interval, depth)
    store:begin()
    local now = store:now()
    local row = store:find(key)
    local full_at = row and store:instant(row) or now
    if full_at < now then
        full_at = now
    end
    local ahead = full_at - now
    local used = ahead + interval
    if used > depth then
        store:finish()
        return now, nil, "refused", used - depth
    end
    if not row then
        row = store:new_bucket(key)
        if not row then
            store:finish()
            return now, nil, "full"
        end
    end
    store:set_instant(row, full_at + interval)
    store:finish()
    return now, ahead, used
end

return _M
