-- Time that only goes forward, in microseconds since the machine started.
--
-- `ngx.now()` follows the wall clock, is cached for a turn of the event loop and jumps when someone
-- sets the time. A limit must do none of these: CLOCK_MONOTONIC is one clock for all processes.

local ffi = require "ffi"

local tonumber = tonumber
local C = ffi.C

ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } bartizan_timespec;
int clock_gettime(int clock, void *time);
]]

local CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID = 1, 3

local time = ffi.new("bartizan_timespec")

local _M = {}

local function read(clock)
    C.clock_gettime(clock, time)
    local nanoseconds = tonumber(time.nanoseconds)
    return tonumber(time.seconds) * 1000000 + (nanoseconds - nanoseconds % 1000) / 1000
end

--- The time now.
-- @return whole microseconds: a double holds them exactly for 285 years
function _M.now()
    return read(CLOCK_MONOTONIC)
end

--- The processor time that this worker has used. It does not go on while others have the processor;
-- a reading is a system call, ten times as dear as one of now().
-- @return whole microseconds
function _M.used()
    return read(CLOCK_THREAD_CPUTIME_ID)
end

return _M
