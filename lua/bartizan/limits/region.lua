-- The memory that all workers share: one lock, the list of living workers, and the limits' numbers.
--
-- Every decision of a limit is one transaction: lock, read, decide, write, unlock. The lock ends
-- with its owner (mutex.lua). A worker's life is a second lock of the same kind, taken once and
-- never given back: whether a worker lives is asked of the kernel by trying that lock.
--
-- The memory is mapped by the master before it forks and inherited by every worker. Pages that
-- nobody touched cost nothing, so the tables are larger than most gateways need.

local ffi = require "ffi"
local mutex = require "bartizan.mutex"

local cast = ffi.cast
local copy = ffi.copy
local error = error
local fill = ffi.fill
local new = ffi.new
local setmetatable = setmetatable
local sizeof = ffi.sizeof
local C = ffi.C

-- After this head come a worker for each place, the buckets, the list of free slots, the columns.
ffi.cdef [[
typedef struct {
    bartizan_mutex life;
    double held, waiting;
    double unused[6];
} bartizan_worker;

typedef struct {
    bartizan_mutex lock;
    double full, flushed, reaped, recovered;
    double swept;
    int32_t rows, places;
    int32_t places_used;
    int32_t buckets_used, buckets_free;
    int32_t slots_used, slots_free;
    int32_t unused[15];
} bartizan_region;
]]

local EBUSY = mutex.EBUSY
local EDEADLK = mutex.EDEADLK
local EOWNERDEAD = mutex.EOWNERDEAD
local try = mutex.try

-- A transaction takes less than 0.5 us, a try 0.02 us: who still waits after this many tries waits
-- for an owner that the kernel has put aside, and had better sleep.
local TRIES = 100

local Region = {}
Region.__index = Region

local function life(region, place)
    return cast("void *", region.workers[place].life)
end

-- The tables' rows are numbered from 1: row 0 stays unused.
local function layout(memory)
    local rows, places = memory.rows + 1, memory.places
    local workers = cast("bartizan_worker *", memory + 1)
    local buckets = cast("double *", workers + places)
    local next_slots = cast("int32_t *", buckets + rows)
    local columns = next_slots + rows
    return workers, buckets, next_slots, columns, columns + rows * places
end

local _M = {}

--- The region that this process, or the master that it was forked from, mapped at that address.
function _M.at(address)
    local memory = cast("bartizan_region *", address)
    local workers, buckets, next_slots, columns = layout(memory)
    return setmetatable({
        address = address,
        memory = memory,
        mutex = cast("void *", memory.lock),
        workers = workers,
        buckets = buckets,
        next_slots = next_slots,
        columns = columns,
        width = memory.places,
    }, Region)
end

local function map(rows, places)
    local head = new("bartizan_region[1]")
    head[0].rows, head[0].places = rows, places
    local _, _, _, _, last = layout(head + 0)
    local size = cast("char *", last) - cast("char *", head)
    local address = mutex.map(size)
    copy(cast("void *", address), head, sizeof(head))
    return address
end

--- Map a new region, with no workers and no numbers.
-- Raises an error if the system has no memory or no such locks.
-- @param rows how many buckets there can be, and how many rows of slots
-- @param places how many workers can live at once, old ones that still end included
function _M.new(rows, places)
    local region = _M.at(map(rows, places))
    mutex.init(region.mutex)
    for place = 0, places - 1 do
        mutex.init(life(region, place))
    end
    return region
end

--- Take the lock. What is done until `unlock` never yields.
function Region:lock()
    local own = self.mutex
    local code
    for _ = 1, TRIES do
        code = C.pthread_mutex_trylock(own)
        if code == 0 then
            return
        elseif code ~= EBUSY then
            break
        end
    end
    if code == EBUSY then
        code = C.pthread_mutex_lock(own)
        if code == 0 then
            return
        end
    end
    -- EDEADLK: an earlier transaction of this very process raised an error, so this process holds
    -- the lock still. As after a death, each number that it wrote is whole and counts.
    if code == EOWNERDEAD then
        C.pthread_mutex_consistent(own)
    elseif code ~= EDEADLK then
        error("limits: cannot take the lock: error " .. code)
    end
    self.memory.recovered = self.memory.recovered + 1
end

--- Give the lock back.
function Region:unlock()
    C.pthread_mutex_unlock(self.mutex)
end

--- Whether the worker of a place lives.
function Region:alive(place)
    if place == self.place then
        return true
    end
    local own = life(self, place)
    if not try(own) then
        return true
    end
    C.pthread_mutex_unlock(own)
    return false
end

-- What the last one here still held counted until now, or until it was found dead.
local function clear(region, place)
    local columns, width = region.columns, region.width
    for row = 1, region.memory.slots_used do
        columns[row * width + place] = 0
    end
    region.workers[place].held = 0
    region.workers[place].waiting = 0
end

--- Take a place among the living, once in a worker's life.
-- @return the place, from 0; nil and a sentence if there is none
function Region:join()
    local memory = self.memory
    for place = 0, memory.places - 1 do
        if try(life(self, place)) then
            clear(self, place)
            self:lock()
            if place >= memory.places_used then
                memory.places_used = place + 1
            end
            self:unlock()
            self.place = place
            return place
        end
    end
    return nil, "limits: " .. memory.places
        .. " workers live already, old ones that have not ended yet included"
end

-- A row that was given back is in a list of free ones. All of this with the lock held; a kill on
-- the way loses a row at worst, and never gives one out twice.

--- @return a row for a bucket, its instant 0; nil if all are used
function Region:new_bucket()
    local memory = self.memory
    local row = memory.buckets_free
    if row ~= 0 then
        memory.buckets_free = self.buckets[row]
    elseif memory.buckets_used < memory.rows then
        row = memory.buckets_used + 1
        memory.buckets_used = row
    else
        return nil
    end
    self.buckets[row] = 0
    return row
end

function Region:free_bucket(row)
    self.buckets[row] = self.memory.buckets_free
    self.memory.buckets_free = row
end

--- @return a row of columns, all 0; nil if all are used
function Region:new_slots()
    local memory = self.memory
    local row = memory.slots_free
    if row ~= 0 then
        memory.slots_free = self.next_slots[row]
    elseif memory.slots_used < memory.rows then
        row = memory.slots_used + 1
        memory.slots_used = row
    else
        return nil
    end
    fill(self.columns + row * self.width, 4 * self.width)
    return row
end

function Region:free_slots(row)
    self.next_slots[row] = self.memory.slots_free
    self.memory.slots_free = row
end

return _M
