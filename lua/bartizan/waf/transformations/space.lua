--- Transformations that take out white space and NULs.
--
-- White space is what C's isspace() says in the C locale: space, \t, \n, \v, \f, \r. Where the
-- manual or ModSecurity count the space that does not break (0xA0), it is said below.

local bit = require("bit")
local buffer = require("bartizan.waf.transformations.buffer")
local classes = require("bartizan.waf.classes")
local ffi = require("ffi")

local bor = bit.bor
local byte = string.byte
local cast = ffi.cast
local ffi_new = ffi.new
local ffi_string = ffi.string
local room = buffer.room
local sub = string.sub

local bytes_of = ffi.typeof("const uint8_t *")
local SPACE = 0x20
-- In UTF-8 the space that does not break is C2 A0.
local NBSP_LEAD, NBSP = 0xC2, 0xA0

local function set_of(text)
    local set = ffi_new("uint8_t[256]")
    for i = 1, #text do
        set[byte(text, i)] = 1
    end
    return set
end

local WHITE = set_of(" \t\n\v\f\r")
local WHITE_OR_NBSP = set_of(" \t\n\v\f\r\160")
local WHITE_CLASSES = bor(classes.SPACE, classes.BLANK)
local WHITE_OR_NBSP_CLASSES = bor(WHITE_CLASSES, classes.NBSP)

-- Where bytes are taken out, each is written in any case, and overwritten by the next one where it
-- is to go.

local function remove_nuls(s)
    local out = room(#s)
    local bytes = cast(bytes_of, s)
    local n = 0
    for i = 0, #s - 1 do
        local b = bytes[i]
        out[n] = b
        n = b == 0 and n or n + 1
    end
    return ffi_string(out, n)
end

local function remove_white(s)
    local out = room(#s)
    local bytes = cast(bytes_of, s)
    local n = 0
    for i = 0, #s - 1 do
        local b = bytes[i]
        if b == NBSP and i > 0 and bytes[i - 1] == NBSP_LEAD then
            n = n - 1
        end
        out[n] = b
        n = n + 1 - WHITE_OR_NBSP[b]
    end
    return ffi_string(out, n)
end

local function compress(s)
    local out = room(#s)
    local bytes = cast(bytes_of, s)
    local n, before = 0, 0
    for i = 0, #s - 1 do
        local b = bytes[i]
        local white = WHITE_OR_NBSP[b]
        if white == 0 then
            out[n] = b
            n = n + 1
        elseif before == 0 then
            out[n] = SPACE
            n = n + 1
        end
        before = white
    end
    return ffi_string(out, n)
end

-- The part between the white space on the sides that are to be trimmed.
local function trimming(left, right)
    return function(s)
        local bytes = cast(bytes_of, s)
        local first, last = 0, #s - 1
        if left then
            while first <= last and WHITE[bytes[first]] == 1 do
                first = first + 1
            end
        end
        if right then
            while last >= first and WHITE[bytes[last]] == 1 do
                last = last - 1
            end
        end
        return sub(s, first + 1, last + 1)
    end
end

return {
    -- Description: takes out all NULs.
    -- Example: "a\0b" gives "ab".
    removeNulls = { changes = classes.NUL, apply = remove_nuls },

    -- Description: takes out all white space, the space that does not break (0xA0, in UTF-8 C2 A0)
    -- included.
    -- Example: "java script\t:" gives "javascript:".
    -- (libmodsecurity takes out any C2, with which other characters begin as well.)
    removeWhitespace = { changes = WHITE_OR_NBSP_CLASSES, apply = remove_white },

    -- Description: white space, 0xA0 included, becomes spaces, and several in a row become one.
    -- Example: "a \t\n b" gives "a b".
    -- The manual names 0xA0; libmodsecurity leaves it.
    compressWhitespace = { changes = WHITE_OR_NBSP_CLASSES, apply = compress },

    -- Description: takes white space from the beginning.
    -- Example: " a " gives "a ". 0xA0 stays, as in libmodsecurity.
    trimLeft = { changes = WHITE_CLASSES, apply = trimming(true, false) },

    -- Description: takes white space from the end.
    -- Example: " a " gives " a".
    trimRight = { changes = WHITE_CLASSES, apply = trimming(false, true) },

    -- Description: takes white space from both ends.
    -- Example: " a " gives "a".
    trim = { changes = WHITE_CLASSES, apply = trimming(true, true) },
}
