-- Limits how many requests are forwarded at once, over all workers.
--
-- Settings: limit: how many are inside at most. wait: how many more may wait inside the gateway
--     until one leaves, and wait_time (seconds): how long. by: address, client or header:NAME.
-- Verdicts: 429 concurrency_limited: the limit is reached and nobody more may wait, or the wait was
--     too long; 503 store_full if the store has no room to count one more.
--
-- Who waits is woken when a request of the same worker leaves, and looks every few milliseconds for
-- one that left another worker. Who comes while others wait goes behind them.
--
-- What was taken is given back in `release`, in the log phase, which always runs; what a killed
-- worker held ends with its life (limits/slots.lua).

local clock = require "bartizan.clock"
local semaphore = require "ngx.semaphore"
local slots = require "bartizan.limits.slots"
local store = require "bartizan.limits.store"
local subject = require "bartizan.limits.subject"

local enter = slots.enter
local error = error
local format = string.format
local huge = math.huge
local inside = slots.inside
local leave = slots.leave
local max = math.max
local min = math.min
local now = clock.now
local type = type

-- All who wait for one key in one worker look for a place this often together.
local LOOK = 2000

-- The shortest wait of a semaphore that lets others work.
local LEAST = 1000

local STORE_FULL = {
    status = 503,
    code = "store_full",
    reason = "the limits' store has no room to count one more",
    headers = { ["Retry-After"] = "1" },
}

local function whole(settings, name, least)
    local value = settings[name]
    if type(value) ~= "number" or value < least or value % 1 ~= 0 then
        error(format("concurrency: %s must be a whole number of %d or more", name, least))
    end
    return value
end

local function refusal(reason)
    return {
        status = 429,
        code = "concurrency_limited",
        reason = reason,
        -- When a request will leave is not known; a second is the least that the header can say.
        headers = { ["Retry-After"] = "1" },
    }
end

local function new(settings, shared)
    local limit, wait = whole(settings, "limit", 1), whole(settings, "wait", 0)
    local wait_time = settings.wait_time
    if type(wait_time) ~= "number" or wait_time <= 0 then
        error("concurrency: wait_time must be more than 0 seconds")
    end
    local who = subject.new("c", nil, settings.by)
    local place = who.header and "header_" .. who.header or who.name
    local reason = format("more than %d at once by %s", limit, who.name)
    return {
        store = store.open(shared.limits),
        subject = who,
        waiters = subject.new("w", nil, settings.by),
        limit = limit,
        wait = wait,
        wait_time = wait_time * 1000000,
        refused = refusal(reason),
        crowded = refusal(format("%s, and %d wait already", reason, wait)),
        tired = refusal(format("%s, for %g seconds", reason, wait_time)),
        -- For each key that requests of this worker wait for: how many, and what wakes them.
        lines = {},
        -- Names for what a request keeps of this guard: there may be others on its route.
        held = "held_" .. place,
        place = "place_" .. place,
    }
end

local function take(guard, request, key, limit)
    local row, total = enter(guard.store, key, limit)
    if row then
        request[guard.held] = row
        guard.store:holds(1, 0)
    end
    return row, total
end

local function leave_line(guard, request)
    local line = request[guard.place]
    request[guard.place] = nil
    line.length = line.length - 1
    if line.length == 0 then
        guard.lines[line.key] = nil
    end
    leave(guard.store, line.row)
    guard.store:holds(0, -1)
end

local function join_line(guard, request, key, places)
    local row, err = enter(guard.store, places, guard.wait)
    if not row then
        return nil, err
    end
    local line = guard.lines[key]
    if not line then
        -- The row stays this line's own as long as somebody stands in it: he is counted there.
        line = { key = key, row = row, length = 0, bell = semaphore.new() }
        guard.lines[key] = line
    end
    line.length = line.length + 1
    request[guard.place] = line
    guard.store:holds(0, 1)
    return line
end

local function wait_in_line(guard, request, key, places)
    local line, err = join_line(guard, request, key, places)
    if not line then
        return err == "full" and STORE_FULL or guard.crowded
    end
    local verdict = guard.tired
    local left = guard.wait_time
    local deadline = now() + left
    while left > 0 do
        line.bell:wait(max(LEAST, min(left, LOOK * line.length)) / 1000000)
        local row, why = take(guard, request, key, guard.limit)
        if row then
            verdict = nil
            break
        elseif why == "full" then
            verdict = STORE_FULL
            break
        end
        left = deadline - now()
    end
    leave_line(guard, request)
    return verdict
end

local function check(guard, request, observing)
    local key = guard.subject:key(request)
    if observing then
        local row, total = take(guard, request, key, huge)
        if not row then
            return STORE_FULL
        end
        return total > guard.limit and guard.refused or nil
    end
    if guard.wait == 0 then
        local row, why = take(guard, request, key, guard.limit)
        if row then
            return nil
        end
        return why == "full" and STORE_FULL or guard.refused
    end
    local places = guard.waiters:key(request)
    if inside(guard.store, places) == 0 then
        local row, why = take(guard, request, key, guard.limit)
        if row then
            return nil
        elseif why == "full" then
            return STORE_FULL
        end
    end
    return wait_in_line(guard, request, key, places)
end

local function release(guard, request)
    -- The request was ended within its wait, as when its client went.
    if request[guard.place] then
        leave_line(guard, request)
    end
    local row = request[guard.held]
    if not row then
        return
    end
    request[guard.held] = nil
    leave(guard.store, row)
    guard.store:holds(-1, 0)
    local line = guard.lines[guard.subject:key(request)]
    if line then
        line.bell:post()
    end
end

local function start(guard)
    guard.store:start()
end

return { name = "concurrency", new = new, check = check, release = release, start = start }
