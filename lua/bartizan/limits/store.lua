-- The limits' store: a shared dict finds the row of a key, a region holds the rows (region.lua).
--
--     store:begin() … store:finish()                a transaction; nothing in it yields
--     store:now()                                   microseconds, later in a later transaction
--     store:find(key)                               the key's row, or nil
--     store:new_bucket(key), store:new_slots(key)   a row for it; nil if there is no room (counted)
--     store:drop_bucket(key, row), store:drop_slots(key, row)
--     store:instant(row), store:set_instant(row, microseconds)       of a bucket
--     store:column(row, place), store:clear_column(row, place)       of slots
--     store:change(row, number)                     this worker's own column
--     store:places(), store:alive(place)            places are counted from 0
--     store:oldest(count)                           the keys that were touched longest ago
--
-- Nothing is evicted to make room: a limit that forgets a live counter is open. When the store is
-- full, a few entries are looked at there and then for one that need not be kept; if there is none,
-- a guard that enforces refuses the request (503 store_full). Entries that exist go on working:
-- room is only needed by new ones.
--
-- What `stats(dict)` counts is written beside it.

local clock = require "bartizan.clock"
local region = require "bartizan.limits.region"
local sweep = require "bartizan.limits.sweep"

local error = error
local examine = sweep.examine
local floor = math.floor
local get_phase = ngx.get_phase
local log = ngx.log
local max = math.max
local now = clock.now
local setmetatable = setmetatable
local sleep = ngx.sleep
local timer_every = ngx.timer.every
local tonumber = tonumber
local worker_count = ngx.worker.count
local worker_exiting = ngx.worker.exiting

local ERR = ngx.ERR

-- The region's address is in the dict, so that a reload (the same master, and a dict of the same
-- size) finds it again. The layout is part of the name: no worker takes another layout for its own.
local ADDRESS = "!region-1"

-- The least that an entry of a dict takes, so that there is a row for every entry.
local ENTRY = 128

-- For as many generations of workers as this makes: those before the last reloads may still end.
local PLACES = 32

-- How many entries to look at for room; each costs less than a microsecond.
local RELIEF = 8

local SWEEP_SECONDS = 1
local SWEEP_BATCH = 256
local SWEEP_BATCHES = 16

local Store = {}
Store.__index = Store

local stores = {}

local _M = {}

--- The store over a shared dict, one for each dict.
-- Raises an error in a worker if the master did not open it (in init_by_lua), or in the master if
-- the dict has no room for its first entry or the system has no memory.
function _M.open(dict)
    local store = stores[dict]
    if store then
        return store
    end
    local address = dict:get(ADDRESS)
    if not address and get_phase() ~= "init" then
        error("limits: the store must be opened in init_by_lua, before there are workers")
    end
    local own
    if address then
        own = region.at(address)
    else
        own = region.new(floor(dict:capacity() / ENTRY), max(PLACES, 4 * worker_count()))
        local ok, err = dict:safe_set(ADDRESS, own.address)
        if not ok then
            error("limits: the shared dict is too small: " .. err)
        end
    end
    store = setmetatable({ dict = dict, region = own, memory = own.memory }, Store)
    stores[dict] = store
    return store
end

local function tidy(premature, store)
    if premature then
        return
    end
    -- One worker a tick is enough.
    store:begin()
    local time = now()
    local due = time - store.memory.swept >= SWEEP_SECONDS * 900000
    if due then
        store.memory.swept = time
    end
    store:finish()
    if not due then
        return
    end
    for _ = 1, SWEEP_BATCHES do
        if sweep.sweep(store, now(), SWEEP_BATCH) < SWEEP_BATCH / 2 or worker_exiting() then
            return
        end
        sleep(0)
    end
end

--- Begin this worker's work on the store; more than once does no harm. For init_worker_by_lua.
function Store:start()
    if self.started then
        return
    end
    self.started = true
    local place, err = self.region:join()
    if place then
        self.place = place
    else
        log(ERR, err, "; this worker refuses what a concurrency limit guards")
    end
    local ok
    ok, err = timer_every(SWEEP_SECONDS, tidy, self)
    if not ok then
        log(ERR, "limits: cannot start the sweep: ", err)
    end
end

function Store:begin()
    self.region:lock()
end

function Store:finish()
    self.region:unlock()
end

-- The monotonic clock is one for all processors, and transactions follow one another.
Store.now = now

function Store:find(key)
    return (self.dict:get(key))
end

local function relieve(store)
    local time = now()
    local oldest = store:oldest(RELIEF)
    local found = false
    for i = 1, #oldest do
        found = examine(store, oldest[i], time) or found
    end
    return found
end

local function enlist(store, key, row)
    return store.dict:safe_add(key, row) or relieve(store) and store.dict:safe_add(key, row)
end

local function count_full(store)
    store.memory.full = store.memory.full + 1
    return nil
end

function Store:new_bucket(key)
    local row = self.region:new_bucket()
    if not row then
        return count_full(self)
    elseif not enlist(self, key, row) then
        self.region:free_bucket(row)
        return count_full(self)
    end
    return row
end

function Store:new_slots(key)
    local row = self.place and self.region:new_slots()
    if not row then
        return count_full(self)
    elseif not enlist(self, key, row) then
        self.region:free_slots(row)
        return count_full(self)
    end
    return row
end

local function drop(store, key)
    store.dict:delete(key)
    store.memory.flushed = store.memory.flushed + 1
end

function Store:drop_bucket(key, row)
    drop(self, key)
    self.region:free_bucket(row)
end

function Store:drop_slots(key, row)
    drop(self, key)
    self.region:free_slots(row)
end

function Store:instant(row)
    return self.region.buckets[row]
end

function Store:set_instant(row, microseconds)
    self.region.buckets[row] = microseconds
end

function Store:places()
    return self.memory.places_used
end

function Store:alive(place)
    return self.region:alive(place)
end

function Store:column(row, place)
    return self.region.columns[row * self.region.width + place]
end

function Store:clear_column(row, place)
    self.region.columns[row * self.region.width + place] = 0
    self.memory.reaped = self.memory.reaped + 1
end

function Store:change(row, number)
    local columns = self.region.columns
    local own = row * self.region.width + self.place
    columns[own] = columns[own] + number
end

function Store:oldest(count)
    return self.dict:get_keys(count)
end

--- Tell `stats` of requests of this worker that entered a concurrency limit, or its line, or left.
function Store:holds(held, waiting)
    local own = self.region.workers[self.place]
    own.held = own.held + held
    own.waiting = own.waiting + waiting
end

--- The figures of the store over a dict, for the metrics. Cheap: nothing is searched.
-- @return nil if no guard of this gateway uses the store; or a table:
--     capacity, free           bytes of the dict, and of those pages of it that are wholly free
--     buckets, slots           the most rows that were ever in use at once
--     full                     how often there was no room for one more
--     flushed                  entries that were taken away because nothing was lost by it
--     reaped                   columns of dead workers that were cleared
--     recovered                transactions after one whose owner died in it
--     workers                  how many live
--     held, waiting            requests inside a concurrency limit now, and in line for it
function _M.stats(dict)
    local store = stores[dict]
    if not store then
        return nil
    end
    local memory = store.memory
    local workers, held, waiting = 0, 0, 0
    for place = 0, memory.places_used - 1 do
        if store.region:alive(place) then
            workers = workers + 1
            held = held + store.region.workers[place].held
            waiting = waiting + store.region.workers[place].waiting
        end
    end
    return {
        capacity = store.dict:capacity(),
        free = store.dict:free_space(),
        buckets = tonumber(memory.buckets_used),
        slots = tonumber(memory.slots_used),
        full = memory.full,
        flushed = memory.flushed,
        reaped = memory.reaped,
        recovered = memory.recovered,
        workers = workers,
        held = held,
        waiting = waiting,
    }
end

return _M
