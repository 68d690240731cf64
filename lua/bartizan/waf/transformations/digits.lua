--- What bytes are worth as digits, and the digits that are written.

local ffi = require("ffi")

local band = require("bit").band
local byte = string.byte
local ffi_new = ffi.new

local _M = {}

--- The worth of a hexadecimal digit, -1 for any other byte.
_M.HEX = ffi_new("int8_t[256]")
--- The same of an octal digit.
_M.OCTAL = ffi_new("int8_t[256]")
--- What ModSecurity takes a byte for where it does not ask whether it is a hexadecimal digit.
_M.LOOSE = ffi_new("uint8_t[256]")
--- The digits from 0 to f.
_M.LETTER = ffi_new("uint8_t[16]")

for b = 0, 255 do
    _M.HEX[b], _M.OCTAL[b] = -1, -1
    -- From "A" on letters, upper and lower case alike; below they count from "0".
    _M.LOOSE[b] = band(b >= 0x41 and band(b, 0xDF) - 0x41 + 10 or b - 0x30, 0xFF)
end
for i = 0, 15 do
    local lower = byte("0123456789abcdef", i + 1)
    _M.LETTER[i] = lower
    _M.HEX[lower] = i
    _M.HEX[byte("0123456789ABCDEF", i + 1)] = i
    if i < 8 then
        _M.OCTAL[lower] = i
    end
end

return _M
