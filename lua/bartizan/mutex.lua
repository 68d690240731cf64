--- Locks between processes that end with their owner.
--
-- A POSIX mutex, process-shared and robust (pthread_mutexattr_setrobust(3)), in memory that the
-- master maps before it forks: when its owner dies, by whatever signal, the kernel gives it to the
-- next who asks and says so. A killed worker leaves nothing locked, and no lifetime has to be
-- guessed for a lock; nor do process ids have to be compared, which are used again.

local ffi = require "ffi"

local errno = ffi.errno
local error = error
local tonumber = tonumber
local C = ffi.C

-- 64 bytes hold a pthread_mutex_t of any Linux (40 on x86-64, 48 on arm64) and fill a cache line.
ffi.cdef [[
typedef struct { int64_t opaque[8]; } bartizan_mutex;

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

local _M = {
    SIZE = 64,                  -- bytes that a mutex takes
    -- <errno.h> of Linux: another has the lock; this process has it already; its owner is dead.
    EBUSY = 16,
    EDEADLK = 35,
    EOWNERDEAD = 130,
}

local EOWNERDEAD = _M.EOWNERDEAD

local kind

local function check(code, what)
    if code ~= 0 then
        error("cannot " .. what .. ": error " .. code)
    end
end

--- Maps memory that every process shares which is forked from this one. Pages that nobody touched
-- cost nothing.
-- Raises where the system has none.
-- @param size number: bytes
-- @return number: its address
function _M.map(size)
    local memory = C.mmap(nil, size, PROT_READ_WRITE, MAP_SHARED_ANONYMOUS_NORESERVE, -1, 0)
    local address = tonumber(ffi.cast("intptr_t", memory))
    if address == MAP_FAILED then
        error("cannot map shared memory: error " .. errno())
    end
    return address
end

--- Makes an unlocked mutex in mapped memory.
-- Raises where the system has no such locks.
-- @param mutex cdata: void *, to 64 bytes
function _M.init(mutex)
    if not kind then
        kind = ffi.new("int64_t[8]")
        check(C.pthread_mutexattr_init(kind), "describe a lock")
        check(C.pthread_mutexattr_setpshared(kind, PTHREAD_PROCESS_SHARED), "share a lock")
        check(C.pthread_mutexattr_setrobust(kind, PTHREAD_MUTEX_ROBUST), "make a lock robust")
        check(C.pthread_mutexattr_settype(kind, PTHREAD_MUTEX_ERRORCHECK), "make a lock check")
    end
    check(C.pthread_mutex_init(mutex, kind), "make a lock")
end

--- Takes a lock if no living process has it.
-- @return boolean: false also where this very process has it
function _M.try(mutex)
    local code = C.pthread_mutex_trylock(mutex)
    if code == EOWNERDEAD then
        C.pthread_mutex_consistent(mutex)
    end
    return code == 0 or code == EOWNERDEAD
end

--- Gives a lock back.
function _M.unlock(mutex)
    C.pthread_mutex_unlock(mutex)
end

return _M
