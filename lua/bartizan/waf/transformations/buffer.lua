--- The memory that transformations write into: one buffer for all of a worker, that grows.
--
-- A transformation asks for room, writes, and makes a string of it before another one begins.

local ffi = require("ffi")

local ffi_new = ffi.new

local _M = {}

-- What is larger is made for the one text and is garbage after it: a single huge body must not
-- weigh on a worker for ever.
local KEPT_AT_MOST = 1048576

local buffer_of = ffi.typeof("uint8_t[?]")
local size = 4096
local buffer = ffi_new(buffer_of, size)

--- Returns memory to write into.
-- @param length number: how many bytes are needed
-- @return cdata: uint8_t *, at least so many bytes, with whatever is in them
function _M.room(length)
    if length <= size then
        return buffer
    elseif length > KEPT_AT_MOST then
        return ffi_new(buffer_of, length)
    end
    -- Twice as large, so that texts that grow bit by bit do not make a buffer each.
    size = size * 2
    if size < length then
        size = length
    end
    buffer = ffi_new(buffer_of, size)
    return buffer
end

return _M
