--- JSON strings (RFC 8259 section 7): escapes undone, UTF-8 checked.

local utf8 = require("bartizan.utf8")

local byte = string.byte
local concat = table.concat
local encode_utf8 = utf8.encode
local find = string.find
local skip_utf8 = utf8.skip
local sub = string.sub
local tonumber = tonumber

local _M = {}

local QUOTE, BACKSLASH, SLASH, LOWER_U = 0x22, 0x5C, 0x2F, 0x75

local ESCAPES = {
    [QUOTE] = '"', [BACKSLASH] = "\\", [SLASH] = "/",
    [0x62] = "\b", [0x66] = "\f", [0x6E] = "\n", [0x72] = "\r", [0x74] = "\t",
}

local function hex4(text, pos)
    return find(text, "^%x%x%x%x", pos) and tonumber(sub(text, pos, pos + 3), 16)
end

-- `pos` is at the u of \uXXXX. Returns as _M.read does.
local function read_unicode(text, pos)
    local code = hex4(text, pos + 1)
    if not code then
        return nil, nil, "bad \\u escape", pos
    end
    if code < 0xD800 or code > 0xDFFF then
        return encode_utf8(code), pos + 5
    end
    -- RFC 8259 section 8.2: half a surrogate pair is no character, and readers differ about it.
    local low = code < 0xDC00 and find(text, "^\\u", pos + 5) and hex4(text, pos + 7)
    if not low or low < 0xDC00 or low > 0xDFFF then
        return nil, nil, "lone surrogate", pos
    end
    return encode_utf8(0x10000 + (code - 0xD800) * 1024 + (low - 0xDC00)), pos + 11
end

-- `pos` is at the backslash. Returns as _M.read does.
local function read_escape(text, pos)
    local b = byte(text, pos + 1)
    if b == LOWER_U then
        return read_unicode(text, pos + 1)
    end
    local escaped = ESCAPES[b or 0]
    if not escaped then
        return nil, nil, "bad escape", pos
    end
    return escaped, pos + 2
end

--- Reads the string whose opening quote was just passed.
-- @param text string
-- @param start number: the position after the quote
-- @return string, number: the characters as UTF-8, and the position after the closing quote
-- @return nil, nil, string, number: what is wrong, and where
function _M.read(text, start)
    local pos = start
    local pieces, n                     -- made at the first escape; most strings have none
    while true do
        local b = byte(text, pos)
        if not b then
            return nil, nil, "string without an end", pos
        elseif b == QUOTE then
            if not pieces then
                return sub(text, start, pos - 1), pos + 1
            end
            pieces[n + 1] = sub(text, start, pos - 1)
            return concat(pieces), pos + 1
        elseif b == BACKSLASH then
            if not pieces then
                pieces, n = {}, 0
            end
            local escaped, after, reason, where = read_escape(text, pos)
            if not escaped then
                return nil, nil, reason, where
            end
            pieces[n + 1] = sub(text, start, pos - 1)
            pieces[n + 2] = escaped
            n = n + 2
            pos = after
            start = after
        elseif b < 0x20 then
            return nil, nil, "control character in a string", pos
        elseif b < 0x80 then
            pos = pos + 1
        else
            local after = skip_utf8(text, pos, b)
            if not after then
                return nil, nil, "invalid UTF-8", pos
            end
            pos = after
        end
    end
end

return _M
