--- Composes a value for nginx, piece by piece, without making a Lua string of it.
--
-- A value that is new at each request, as all are that hold its id, would be hashed, interned and
-- collected, only to be copied by nginx: that costs more than all pieces. There is one buffer, so a
-- value is composed and handed over without a pause.
--
--     line.begin()
--     line.put("nosniff")
--     line.assign(line.variable("bartizan_answer"))      -- the variable is made once, at load

local base = require("resty.core.base")
local bit = require("bit")
local ffi = require("ffi")
require("resty.core.var")               -- declares what is called here

local band = bit.band
local C = ffi.C
local copy = ffi.copy
local error = error
local ffi_str = ffi.string
local floor = math.floor
local format = string.format
local get_request = base.get_request
local log10 = math.log10
local rshift = bit.rshift

local _M = {}

-- A header that nginx takes is never longer than its four buffers.
local SIZE = 4 * 16384 + 4096
local ERROR_SIZE = 256

local buffer = ffi.new("char[?]", SIZE)
local length = 0
local problem = ffi.new("char[?]", ERROR_SIZE)
local problem_size = ffi.new("size_t[1]")

--- A variable of nginx that can be assigned.
-- @param name string
function _M.variable(name)
    return { name = name, length = #name, lower = ffi.new("char[?]", #name + 1) }
end

function _M.begin()
    length = 0
end

function _M.put(piece)
    local size = #piece
    if length + size > SIZE - 16 then
        error("a value of more than " .. SIZE .. " bytes for nginx")
    end
    copy(buffer + length, piece, size)
    length = length + size
end

-- Two digits each: of a number below 100, and of a byte in hex.
local TENS, HEX = ffi.new("char[200]"), ffi.new("char[512]")
for i = 0, 99 do
    copy(TENS + 2 * i, format("%02d", i), 2)
end
for i = 0, 255 do
    copy(HEX + 2 * i, format("%02x", i), 2)
end

local function hex_byte(at, byte)
    buffer[at], buffer[at + 1] = HEX[2 * byte], HEX[2 * byte + 1]
end

--- Puts the id of a request, as random.text would have it.
function _M.id(drawn, number)
    _M.put(drawn)
    hex_byte(length, band(rshift(number, 24), 255))
    hex_byte(length + 2, band(rshift(number, 16), 255))
    hex_byte(length + 4, band(rshift(number, 8), 255))
    hex_byte(length + 6, band(number, 255))
    length = length + 8
end

local digits = ffi.new("char[16]")

local function two_digits(at, number)
    digits[at], digits[at + 1] = TENS[2 * number], TENS[2 * number + 1]
end

-- Without a loop, of which LuaJIT would make a trace of its own.
local function eight_digits(at, number)
    local a = floor(number / 1000000)
    number = number - 1000000 * a
    local b = floor(number / 10000)
    number = number - 10000 * b
    local c = floor(number / 100)
    two_digits(at, a)
    two_digits(at + 2, b)
    two_digits(at + 4, c)
    two_digits(at + 6, number - 100 * c)
end

--- Puts a whole number from 1 to 10^14, in decimal.
function _M.digits(number)
    local high = floor(number / 100000000)
    eight_digits(0, high)
    eight_digits(8, number - 100000000 * high)
    local count = floor(log10(number)) + 1
    copy(buffer + length, digits + (16 - count), count)
    length = length + count
end

--- Gives what was put since `begin` to a variable.
function _M.assign(variable)
    problem_size[0] = ERROR_SIZE
    local code = C.ngx_http_lua_ffi_var_set(get_request(), variable.name, variable.length,
        variable.lower, buffer, length, problem, problem_size)
    if code ~= 0 then
        error("could not assign $" .. variable.name .. ": " .. ffi_str(problem, problem_size[0]))
    end
end

return _M
