-- Limits how many requests come in a time, exactly: in any span of time t at most burst + rate * t
-- are let through, over all workers, by the stamps that this guard takes (request.decided).
--
-- Settings: limit and period (seconds): the rate. burst (1 or more): how many may come at once.
--     by: address, client or header:NAME. excess: "refuse", or "delay": what is beyond the rate but
--     within the burst waits, so that it leaves at the rate; what is beyond the burst is refused.
-- Verdicts: 429 rate_limited, with the time after which one is let through if no other comes
--     before; 503 store_full if the store has no room for one more bucket.
-- Sets on the request: decided, when it was let through or refused (microseconds of the monotonic
--     clock); ratelimit and ratelimit_policy (draft-ietf-httpapi-ratelimit-headers), those of the
--     guard that leaves the least.

local bucket = require "bartizan.limits.bucket"
local clock = require "bartizan.clock"
local store = require "bartizan.limits.store"
local subject = require "bartizan.limits.subject"

local ceil = math.ceil
local error = error
local floor = math.floor
local format = string.format
local now = clock.now
local sleep = ngx.sleep
local take = bucket.take
local type = type

local PERIODS = { [1] = "second", [60] = "minute", [3600] = "hour" }

-- Strings that are kept, so that none is built a request; a deeper bucket builds those above this.
local REMEMBERED = 4096

local STORE_FULL = {
    status = 503,
    code = "store_full",
    reason = "the limits' store has no room for one more bucket",
    headers = { ["Retry-After"] = "1" },
}

local function positive(settings, name)
    local value = settings[name]
    if type(value) ~= "number" or value < 1 or value % 1 ~= 0 then
        error("rate: " .. name .. " must be a whole number of 1 or more")
    end
    return value
end

local function new(settings, shared)
    local limit, burst = positive(settings, "limit"), positive(settings, "burst")
    local period, excess = positive(settings, "period"), settings.excess
    if excess ~= "refuse" and excess ~= "delay" then
        error("rate: excess must be refuse or delay")
    end
    local interval = bucket.interval(limit, period)
    local who = subject.new("r", format("%d", period), settings.by)
    return {
        store = store.open(shared.limits),
        subject = who,
        interval = interval,
        depth = burst * interval,
        burst = burst,
        delays = excess == "delay",
        policy = format('"%s";q=%d;w=%d', who.name, limit, period),
        reason = format("more than %d per %s by %s, with a burst of %d",
            limit, PERIODS[period] or format("%d seconds", period), who.name, burst),
        announcements = {},
        refusals = {},
    }
end

-- r: how many would be let through now. t: after how many seconds the bucket is full again, if
-- nobody comes; it follows from r, rounded up, so that there is one string for each r.
local function announcement(guard, remaining)
    local known = guard.announcements[remaining]
    if known then
        return known
    end
    local text = format('"%s";r=%d;t=%d', guard.subject.name, remaining,
        ceil((guard.burst - remaining) * guard.interval / 1000000))
    if remaining < REMEMBERED then
        guard.announcements[remaining] = text
    end
    return text
end

local function announce(guard, request, remaining)
    local least = request.ratelimit_remaining
    if not least or remaining < least then
        request.ratelimit_remaining = remaining
        request.ratelimit = announcement(guard, remaining)
        request.ratelimit_policy = guard.policy
    end
end

-- The wait is never longer than an interval (an hour at most), so there are few of these.
local function refusal(guard, microseconds)
    local seconds = ceil(microseconds / 1000000)
    local verdict = guard.refusals[seconds]
    if not verdict then
        verdict = {
            status = 429,
            code = "rate_limited",
            reason = guard.reason,
            headers = { ["Retry-After"] = format("%d", seconds) },
        }
        guard.refusals[seconds] = verdict
    end
    return verdict
end

-- A timer of nginx may be early by the milliseconds that its cached clock is late.
local function sleep_until(due)
    local left = due - now()
    while left > 0 do
        sleep(ceil(left / 1000) / 1000)
        left = due - now()
    end
end

local function check(guard, request, observing)
    local stamp, ahead, used, lacking =
        take(guard.store, guard.subject:key(request), guard.interval, guard.depth)
    request.decided = stamp
    if not ahead then
        if used == "full" then
            return STORE_FULL
        end
        announce(guard, request, 0)
        return refusal(guard, lacking)
    end
    announce(guard, request, floor((guard.depth - used) / guard.interval))
    if ahead > 0 and guard.delays and not observing then
        sleep_until(stamp + ahead)
        request.decided = now()
    end
    return nil
end

local function start(guard)
    guard.store:start()
end

return { name = "rate", new = new, check = check, start = start }
