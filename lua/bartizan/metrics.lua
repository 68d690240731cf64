--- Counting, off the path of requests: a worker counts in memory of its own, and once a second
--- adds what is new to the shared store, from which /metrics is written (exposition.lua).
--
-- Labels are bounded: the first 200 routes have a slot each, all others share the slot "other", and
-- what matched no route is counted in the slot "none". Slots go by the route's key, so counts carry
-- on over a reload. A killed worker takes at most its last second with it.

local ffi = require("ffi")

local ffi_fill = ffi.fill
local floor = math.floor
local ipairs = ipairs
local pairs = pairs

local ngx = ngx
local ngx_log = ngx.log
local WARN = ngx.WARN

local _M = {
    ROUTES = 200,
    -- Upper bounds of the latency histogram, in seconds; the last bucket, +Inf, is the count.
    BOUNDS = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30 },
    -- Status classes; 0 is a request that ended without a status.
    CLASSES = { [0] = "none", "1xx", "2xx", "3xx", "4xx", "5xx" },
}

local BOUNDS = _M.BOUNDS

-- The bucket of each number of milliseconds: nginx's clock has no finer ones.
local LAST_BOUND = BOUNDS[#BOUNDS] * 1000
local bucket_of = ffi.new("uint8_t[?]", LAST_BOUND + 1)
do
    local bucket = 0
    for milliseconds = 0, LAST_BOUND do
        if milliseconds > BOUNDS[bucket + 1] * 1000 then
            bucket = bucket + 1
        end
        bucket_of[milliseconds] = bucket
    end
end

-- A slot: six classes, the buckets, the bucket +Inf, the sum of seconds.
local FIRST_BUCKET = 6
local WIDTH = FIRST_BUCKET + #BOUNDS + 2
local SUM = WIDTH - 1

local dict
local slots = {}            -- every slot: {key, name}
local slot_of = {}          -- route -> its slot's index
local name_of = {}          -- key -> its slot's name
local names = {}
local other, none
local counts, dirty         -- what was counted since the last flush
local named = {}            -- verdicts and events: store key -> count since the last flush

-- A name stands for one slot, or the text would have a sample twice: "/a/*" may be a path.
local function new_slot(key, name)
    if names[name] then
        name = name .. " (" .. key .. ")"
    end
    names[name] = true
    slots[#slots + 1] = { key = key, name = name }
    name_of[key] = name
    return #slots - 1
end

--- Sets up the slots. Runs once, in the master.
-- @param routes table: an array of routes with key and name
-- @param store table: the shared dict
function _M.init(routes, store)
    dict = store
    none = new_slot("none", "none")
    other = new_slot("other", "other")
    for i, route in ipairs(routes) do
        slot_of[route] = i <= _M.ROUTES and new_slot(route.key, route.name) or other
    end
    counts = ffi.new("double[?]", #slots * WIDTH)
    dirty = ffi.new("uint8_t[?]", #slots)
end

local function slot(route)
    return route and slot_of[route] or none
end

--- Counts a request that has ended.
-- @param route table|nil: nil where none matched
-- @param status number: 0 where the request ended without one
-- @param seconds number: how long it took
function _M.request(route, status, seconds)
    local index = slot(route)
    local base = index * WIDTH
    dirty[index] = 1
    if seconds < 0 then
        seconds = 0                 -- the wall clock was set back meanwhile
    end
    local class = (status - status % 100) / 100
    if class > 5 then
        class = 5
    end
    counts[base + class] = counts[base + class] + 1
    counts[base + SUM] = counts[base + SUM] + seconds
    local milliseconds = floor(seconds * 1000 + 0.5)
    local bucket = base + FIRST_BUCKET
        + (milliseconds <= LAST_BOUND and bucket_of[milliseconds] or #BOUNDS)
    counts[bucket] = counts[bucket] + 1
end

--- Counts a decision. Every word but the route's key comes from our own code.
function _M.verdict(guard, mode, decision, code, route)
    local key = "verdict|" .. guard .. "|" .. mode .. "|" .. decision .. "|" .. code .. "|"
        .. slots[slot(route) + 1].key
    named[key] = (named[key] or 0) + 1
end

--- Counts an event that operators should know of, such as a full store.
-- @param name string: a word of our own code, such as "limits_store_full"
function _M.event(name)
    local key = "event|" .. name
    named[key] = (named[key] or 0) + 1
end

--- Counts under a key of its own.
-- @param key string: of our own making, and one of few: what exposition.lua reads
function _M.count(key)
    named[key] = (named[key] or 0) + 1
end

local function add(key, count)
    local total, err, evicted = dict:incr(key, count, 0)
    if not total then
        ngx_log(WARN, "could not count ", key, ": ", err)
    elseif evicted then
        _M.event("metrics_store_full")
    end
end

--- The store key of one counter of a slot.
function _M.slot_key(key, counter)
    return "route|" .. key .. "|" .. counter
end

--- Adds what was counted since the last time to the shared store.
function _M.flush()
    for index = 0, #slots - 1 do
        if dirty[index] == 1 then
            dirty[index] = 0
            local base = index * WIDTH
            for counter = 0, WIDTH - 1 do
                local count = counts[base + counter]
                if count ~= 0 then
                    add(_M.slot_key(slots[index + 1].key, counter), count)
                end
            end
            ffi_fill(counts + base, WIDTH * 8)
        end
    end
    local counted = named
    named = {}
    for key, count in pairs(counted) do
        add(key, count)
    end
end

--- What the shared store holds of a slot.
-- @param index number: from 1
-- @return nil: nothing was counted there
-- @return table: {name, classes = {[0..5]}, buckets (cumulative), count, sum}
function _M.read_slot(index)
    local key = slots[index].key
    local count, buckets = 0, {}
    for i = 1, #BOUNDS + 1 do
        count = count + (dict:get(_M.slot_key(key, FIRST_BUCKET + i - 1)) or 0)
        buckets[i] = count
    end
    if count == 0 then
        return nil
    end
    local classes = {}
    for class = 0, 5 do
        classes[class] = dict:get(_M.slot_key(key, class)) or 0
    end
    local sum = dict:get(_M.slot_key(key, SUM)) or 0
    return { name = slots[index].name, classes = classes, buckets = buckets, count = count,
             sum = sum }
end

--- How many slots there are.
function _M.slot_count()
    return #slots
end

--- The name of the slot with a key; nil where no route of this generation has it.
function _M.slot_name(key)
    return name_of[key]
end

--- Every key of the store, for what has no slots. The store is bounded, so this is too.
function _M.keys()
    return dict:get_keys(0)
end

--- The value of a key of the store.
function _M.get(key)
    return dict:get(key)
end

--- Forgets counts of routes that are gone, so that reloads do not fill the store.
function _M.forget_old_routes()
    for _, key in ipairs(_M.keys()) do
        local route = key:match("^route|([^|]+)|") or key:match("^verdict|.*|([^|]+)$")
        if route and not name_of[route] then
            dict:delete(key)
        end
    end
end

return _M
