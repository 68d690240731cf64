--- Arguments as a query and a form spell them: name=value, with & between them.
--
-- As ModSecurity reads them: ";" separates nothing, the first = ends the name, a piece without = is
-- a name with an empty value, an empty piece between two & is an argument too (with an empty name),
-- but none follows the last &. Names and values are percent-decoded, + is a space.
--
--     query.read("a=1&b=x+y&c", names, values, 0, 1000)     3, false, true

local ffi = require("ffi")
local percent = require("bartizan.waf.percent")

local bit = require("bit")

local band = bit.band
local bor = bit.bor
local cast = ffi.cast
local decode = percent.decode
local sub = string.sub

local _M = {}

-- What a byte means; bits, so that a piece's bytes can be summed up.
local CODED, EQUALS, AMPERSAND = 1, 2, 4
local KIND = ffi.new("uint8_t[256]")
KIND[0x25], KIND[0x2B] = CODED, CODED           -- % and +
KIND[0x3D], KIND[0x26] = EQUALS, AMPERSAND

local bytes_of = ffi.typeof("const uint8_t *")

--- Reads the arguments of a text and puts them behind those that are there.
-- @param text string
-- @param names table, values table: arrays of strings, which are added to
-- @param n number: how many arguments they hold
-- @param most number: how many they may hold
-- @return number, boolean, boolean: how many they hold now, whether there was a % without two hex
--   digits, and whether all arguments found room
function _M.read(text, names, values, n, most)
    local bytes, length = cast(bytes_of, text), #text
    local malformed, i = false, 0
    while i < length do
        if n >= most then
            return n, malformed, false
        end
        local from, seen, kind = i, 0, 0
        while i < length do
            kind = KIND[bytes[i]]
            if kind >= EQUALS then
                break
            end
            seen = bor(seen, kind)
            i = i + 1
        end
        local name
        local value = ""
        if seen == CODED then
            local wrong
            name, wrong = decode(bytes, from, i, true)
            malformed = malformed or wrong
        else
            name = sub(text, from + 1, i)
        end
        if kind == EQUALS then
            i = i + 1
            from, seen = i, 0
            while i < length do
                kind = KIND[bytes[i]]
                if kind == AMPERSAND then
                    break
                end
                seen = bor(seen, kind)
                i = i + 1
            end
            if band(seen, CODED) ~= 0 then
                local wrong
                value, wrong = decode(bytes, from, i, true)
                malformed = malformed or wrong
            else
                value = sub(text, from + 1, i)
            end
        end
        i = i + 1                               -- over the &
        n = n + 1
        names[n], values[n] = name, value
    end
    return n, malformed, true
end

return _M
