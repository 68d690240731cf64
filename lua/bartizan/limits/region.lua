-- The memory that all workers share: one lock, the list of living workers, and the limits' numbers.
--
-- Every decision of a limit is one transaction: lock, read, decide, write, unlock. The lock is a
-- POSIX mutex, process-shared and robust (pthread_mutexattr_setrobust(3)): when its owner dies, by
-- whatever signal, the kernel gives it to the next who asks and says so. A killed worker leaves
-- nothing locked, and no lifetime has to be guessed for a lock.
--
-- A worker's life is a second lock of the same kind, taken once and never given back. Whether a
-- worker lives is asked of the kernel by trying that lock: no process ids, which are used again.
--
-- The memory is mapped by the master before it forks and inherited by every worker. Pages that
-- nobody touched cost nothing, so the tables are larger than most gateways need.

local ffi = require "ffi"

local cast = ffi.cast
local copy = ffi.copy
local errno = ffi.errno
local error = error
local fill = ffi.fill
local new = ffi.new
local setmetatable = setmetatable
local sizeof = ffi.sizeof
local tonumber = tonumber
local C = ffi.C

-- 64 bytes hold a pthread_mutex_t of any Linux (40 on x86-64, 48 on arm64) and fill a cache line.
-- After this head come a worker for each place, the buckets, the list of free slots, the columns.
ffi.cdef [[
typedef struct { int64_t opaque[8]; } bartizan_mutex;

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

void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);
int pthread_mutexattr_init(void *attributes);
int pthread_mutexattr_setpshared(void *attributes, int shared);
int pthread_mutexattr_setrobust(void *attributes, int robust);
int pthread_mutexattr_settype(void *attributes, int type);
int pthread_mutex_init(void *mutex, void *attributes);
int pthread_mutex_lock(void *mutex);
int pthread_mutex_trylock(void *mutex);
int pthread_mutex_unlock(void *mutex);
int pthread_mutex_consistent(void *mutex);
]]

local PROT_READ_WRITE = 3
local MAP_SHARED_ANONYMOUS_NORESERVE = 0x4021
local MAP_FAILED = -1
local PTHREAD_PROCESS_SHARED = 1
local PTHREAD_MUTEX_ROBUST = 1
local PTHREAD_MUTEX_ERRORCHECK = 2
local EBUSY = 16
local EDEADLK = 35
local EOWNERDEAD = 130

-- A transaction takes less than 0.5 us, a try 0.02 us: who still waits after this many tries waits
-- for an owner that the kernel has put aside, and had better sleep.
local TRIES = 100

local Region = {}
Region.__index = Region

local function check(code, what)
    if code ~= 0 then
        error("limits: cannot " .. what .. ": error " .. code)
    end
end

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
    local memory = C.mmap(nil, size, PROT_READ_WRITE, MAP_SHARED_ANONYMOUS_NORESERVE, -1, 0)
    local address = tonumber(cast("intptr_t", memory))
    if address == MAP_FAILED then
        error("limits: cannot map shared memory: error " .. errno())
    end
    copy(memory, head, sizeof(head))
    return address
end

--- Map a new region, with no workers and no numbers.
-- Raises an error if the system has no memory or no such locks.
-- @param rows how many buckets there can be, and how many rows of slots
-- @param places how many workers can live at once, old ones that still end included
function _M.new(rows, places)
    local region = _M.at(map(rows, places))
    local kind = new("int64_t[8]")
    check(C.pthread_mutexattr_init(kind), "describe a lock")
    check(C.pthread_mutexattr_setpshared(kind, PTHREAD_PROCESS_SHARED), "share a lock")
    check(C.pthread_mutexattr_setrobust(kind, PTHREAD_MUTEX_ROBUST), "make a lock robust")
    check(C.pthread_mutexattr_settype(kind, PTHREAD_MUTEX_ERRORCHECK), "make a lock check")
    check(C.pthread_mutex_init(region.mutex, kind), "make a lock")
    for place = 0, places - 1 do
        check(C.pthread_mutex_init(life(region, place), kind), "make a lock")
    end
    return region
end

--- Take the lock. What is done until `unlock` never yields.
function Region:lock()
    local mutex = self.mutex
    local code
    for _ = 1, TRIES do
        code = C.pthread_mutex_trylock(mutex)
        if code == 0 then
            return
        elseif code ~= EBUSY then
            break
        end
    end
    if code == EBUSY then
        code = C.pthread_mutex_lock(mutex)
        if code == 0 then
            return
        end
    end
    -- EDEADLK: an earlier transaction of this very process raised an error, so this process holds
    -- the lock still. As after a death, each number that it wrote is whole and counts.
    if code == EOWNERDEAD then
        C.pthread_mutex_consistent(mutex)
    elseif code ~= EDEADLK then
        check(code, "take the lock")
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
    local mutex = life(self, place)
    local code = C.pthread_mutex_trylock(mutex)
    if code == EBUSY then
        return true
    elseif code == EOWNERDEAD then
        C.pthread_mutex_consistent(mutex)
    end
    C.pthread_mutex_unlock(mutex)
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
        local mutex = life(self, place)
        local code = C.pthread_mutex_trylock(mutex)
        if code == EOWNERDEAD then
            C.pthread_mutex_consistent(mutex)
        end
        if code == 0 or code == EOWNERDEAD then
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
