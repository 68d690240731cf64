--- JSON strings (RFC 8259 section 7): escapes undone, UTF-8 checked.

local ffi = require("ffi")
local utf8 = require("bartizan.utf8")

local concat = table.concat
local encode_utf8 = utf8.encode
local ffi_string = ffi.string
local step_utf8 = utf8.step

local _M = {}

local QUOTE, BACKSLASH, SLASH, LOWER_U = 0x22, 0x5C, 0x2F, 0x75

-- What stands for itself: ASCII but for control characters, the quote and the backslash.
local PLAIN = ffi.new("bool[256]")
for b = 0x20, 0x7F do
    PLAIN[b] = b ~= QUOTE and b ~= BACKSLASH
end

local ESCAPES = {
    [QUOTE] = '"', [BACKSLASH] = "\\", [SLASH] = "/",
    [0x62] = "\b", [0x66] = "\f", [0x6E] = "\n", [0x72] = "\r", [0x74] = "\t",
}

-- The number of four hexadecimal digits, nil where there are fewer.
local function hex4(bytes, pos)
    local code = 0
    for i = pos, pos + 3 do
        local b = bytes[i]
        if b >= 0x30 and b <= 0x39 then
            code = code * 16 + b - 0x30
        elseif b >= 0x41 and b <= 0x46 then
            code = code * 16 + b - 0x41 + 10
        elseif b >= 0x61 and b <= 0x66 then
            code = code * 16 + b - 0x61 + 10
        else
            return nil
        end
    end
    return code
end

-- `pos` is at the u of \uXXXX. Returns as _M.read does.
local function read_unicode(bytes, pos)
    local code = hex4(bytes, pos + 1)
    if not code then
        return nil, nil, "bad \\u escape", pos
    end
    if code < 0xD800 or code > 0xDFFF then
        return encode_utf8(code), pos + 5
    end
    -- RFC 8259 section 8.2: half a surrogate pair is no character, and readers differ about it.
    local low = code < 0xDC00 and bytes[pos + 5] == BACKSLASH and bytes[pos + 6] == LOWER_U
        and hex4(bytes, pos + 7)
    if not low or low < 0xDC00 or low > 0xDFFF then
        return nil, nil, "lone surrogate", pos
    end
    return encode_utf8(0x10000 + (code - 0xD800) * 1024 + (low - 0xDC00)), pos + 11
end

-- `pos` is at the backslash. Returns as _M.read does.
local function read_escape(bytes, pos)
    local b = bytes[pos + 1]
    if b == LOWER_U then
        return read_unicode(bytes, pos + 1)
    end
    local escaped = ESCAPES[b]
    if not escaped then
        return nil, nil, "bad escape", pos
    end
    return escaped, pos + 2
end

-- Reads on at `pos`, the first byte that is not plain.
local function read_on(bytes, start, pos)
    local pieces, n                     -- made at the first escape; most strings have none
    while true do
        local b = bytes[pos]
        if b == QUOTE then
            if not pieces then
                return ffi_string(bytes + start, pos - start), pos + 1
            end
            pieces[n + 1] = ffi_string(bytes + start, pos - start)
            return concat(pieces), pos + 1
        elseif b == BACKSLASH then
            if not pieces then
                pieces, n = {}, 0
            end
            local escaped, after, reason, where = read_escape(bytes, pos)
            if not escaped then
                return nil, nil, reason, where
            end
            pieces[n + 1] = ffi_string(bytes + start, pos - start)
            pieces[n + 2] = escaped
            n = n + 2
            pos = after
            start = after
        elseif b < 0x20 then
            return nil, nil, "control character in a string", pos
        elseif b < 0x80 then
            pos = pos + 1
        else
            local after = step_utf8(bytes, pos, b)
            if not after then
                return nil, nil, "invalid UTF-8", pos
            end
            pos = after
        end
    end
end

--- Reads the string whose opening quote was just passed.
-- @param bytes cdata: const uint8_t *; behind the text there is a zero byte
-- @param start number: the position after the quote, from 0 on
-- @return string, number: the characters as UTF-8, and the position after the closing quote
-- @return nil, nil, string, number: what is wrong, and where
function _M.read(bytes, start)
    local pos = start
    while PLAIN[bytes[pos]] do
        pos = pos + 1
    end
    if bytes[pos] == QUOTE then
        return ffi_string(bytes + start, pos - start), pos + 1
    end
    return read_on(bytes, start, pos)
end

return _M
