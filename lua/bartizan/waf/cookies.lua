--- Cookies as a Cookie field spells them: name=value, with ; between them.
--
-- As ModSecurity reads them (its SecCookieFormat 0): every ; separates, in quotes too; quotes and
-- percent-encodings stay as they are; white space before a name is no part of it, nor is what
-- follows the last cookie; a piece without = is a name with an empty value. Unlike ModSecurity's,
-- a cookie with an empty name ("=value", RFC 6265bis section 5.6) is not dropped: servers read it.
--
--     cookies.read('a=1; b="x"', names, values, 0, 1000)     2, true

local ffi = require("ffi")

local cast = ffi.cast
local sub = string.sub

local _M = {
    --- More than any honest client sends: browsers keep 180 of a site.
    MOST = 1000,
}

local SEMICOLON, EQUALS = 0x3B, 0x3D

-- White space as C's isspace has it.
local SPACE = ffi.new("bool[256]")
SPACE[0x20] = true
for b = 0x09, 0x0D do
    SPACE[b] = true
end

local bytes_of = ffi.typeof("const uint8_t *")

--- Reads the cookies of a field's value and puts them behind those that are there.
-- @param text string
-- @param names table, values table: arrays of strings, which are added to
-- @param n number: how many cookies they hold
-- @param most number: how many they may hold
-- @return number, boolean: how many they hold now, and whether all cookies found room
function _M.read(text, names, values, n, most)
    local bytes, length = cast(bytes_of, text), #text
    if length > 0 and bytes[length - 1] == SEMICOLON then
        length = length - 1
    end
    while length > 0 and SPACE[bytes[length - 1]] do
        length = length - 1
    end
    local i = 0
    while i < length do
        while i < length and SPACE[bytes[i]] do
            i = i + 1
        end
        local from, equals = i, nil
        while i < length do
            local b = bytes[i]
            if b == SEMICOLON then
                break
            elseif b == EQUALS and not equals then
                equals = i
            end
            i = i + 1
        end
        if i > from then
            if n >= most then
                return n, false
            end
            n = n + 1
            names[n] = sub(text, from + 1, equals or i)
            values[n] = equals and sub(text, equals + 2, i) or ""
        end
        i = i + 1                               -- over the ;
    end
    return n, true
end

return _M
