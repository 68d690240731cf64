--- Request ids: 128 bits as 32 hex digits, which also serve as a trace id.
--
-- They must not repeat; they are no secret. LuaJIT's generator (period 2^223), started anew in each
-- worker from the kernel's randomness, does that for a tenth of the 2 microseconds that nginx's
-- own $request_id takes (OpenSSL's RAND_bytes).

local assert = assert
local byte = string.byte
local format = string.format
local io_open = io.open
local random = math.random
local randomseed = math.randomseed

local _M = {}

--- Starts the generator anew. Workers are forked with equal state, so each must.
function _M.seed()
    local source = assert(io_open("/dev/urandom", "rb"))
    local bytes = assert(source:read(7))
    source:close()
    local seed = 0
    for i = 1, 6 do
        seed = seed * 256 + byte(bytes, i)
    end
    -- 53 bits, all that a double holds.
    randomseed(seed * 32 + byte(bytes, 7) % 32)
end

--- Returns a new id.
function _M.id()
    return format("%08x%08x%08x%08x", random(0, 4294967295), random(0, 4294967295),
                  random(0, 4294967295), random(0, 4294967295))
end

return _M
