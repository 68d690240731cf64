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

local CLOCK_MONOTONIC = 1

local time = ffi.new("bartizan_timespec")

local _M = {}

--- The time now.
-- @return whole microseconds: a double holds them exactly for 285 years
function _M.now()
    C.clock_gettime(CLOCK_MONOTONIC, time)
    local nanoseconds = tonumber(time.nanoseconds)
    return tonumber(time.seconds) * 1000000 + (nanoseconds - nanoseconds % 1000) / 1000
end

return _M
