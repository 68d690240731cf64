--- The few DER encodings (ITU-T X.690) in which OpenSSL takes keys and ECDSA signatures.

local byte = string.byte
local char = string.char
local concat = table.concat
local gsub = string.gsub
local select = select

local _M = {}

local INTEGER, BIT_STRING, NULL, OBJECT_IDENTIFIER, SEQUENCE = 0x02, 0x03, 0x05, 0x06, 0x30

-- X.690 section 8.1.3: up to 127 in one byte, else behind the number of length bytes.
local function encode(tag, content)
    local length = #content
    if length < 0x80 then
        return char(tag, length) .. content
    elseif length < 0x100 then
        return char(tag, 0x81, length) .. content
    end
    return char(tag, 0x82, (length - length % 256) / 256, length % 256) .. content
end

--- An unsigned integer.
-- @param bytes string: big-endian, leading zeros allowed
function _M.integer(bytes)
    -- X.690 section 8.3: the shortest form, with a zero byte before a set sign bit.
    bytes = gsub(bytes, "^%z+", "")
    if bytes == "" or byte(bytes) >= 0x80 then
        bytes = "\0" .. bytes
    end
    return encode(INTEGER, bytes)
end

--- A bit string of whole bytes.
function _M.bit_string(bytes)
    return encode(BIT_STRING, "\0" .. bytes)
end

--- An object identifier, given its encoded content.
function _M.object_identifier(bytes)
    return encode(OBJECT_IDENTIFIER, bytes)
end

function _M.null()
    return encode(NULL, "")
end

--- A sequence of what is already encoded; 65,535 bytes at most.
function _M.sequence(...)
    return encode(SEQUENCE, select("#", ...) == 1 and (...) or concat({ ... }))
end

return _M
