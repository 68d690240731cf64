--- Transformations that take out the comments of programming languages, or their marks.

local bit = require("bit")
local buffer = require("bartizan.waf.transformations.buffer")
local classes = require("bartizan.waf.classes")
local ffi = require("ffi")

local bor = bit.bor
local cast = ffi.cast
local ffi_string = ffi.string
local room = buffer.room

local bytes_of = ffi.typeof("const uint8_t *")
local SPACE, BANG, HASH, STAR, DASH, SLASH = 0x20, 0x21, 0x23, 0x2A, 0x2D, 0x2F
local LESS, GREATER = 0x3C, 0x3E

-- All read a few bytes ahead without asking for the end: behind every Lua string there is a NUL,
-- which is part of no mark, and nothing is read behind a byte that does not fit.

local function begins_html(bytes, i)
    return bytes[i] == LESS and bytes[i + 1] == BANG and bytes[i + 2] == DASH and
           bytes[i + 3] == DASH
end

local function replace(s)
    local length = #s
    local out = room(length + 1)
    local bytes = cast(bytes_of, s)
    local i, n, inside = 0, 0, false
    while i < length do
        local b = bytes[i]
        if inside then
            if b == STAR and bytes[i + 1] == SLASH then
                inside = false
                out[n] = SPACE
                n = n + 1
                i = i + 2
            else
                i = i + 1
            end
        elseif b == SLASH and bytes[i + 1] == STAR then
            inside = true
            i = i + 2
        else
            out[n] = b
            n = n + 1
            i = i + 1
        end
    end
    if inside then
        out[n] = SPACE
        n = n + 1
    end
    return ffi_string(out, n)
end

local function remove(s)
    local length = #s
    local out = room(length + 1)
    local bytes = cast(bytes_of, s)
    local i, n, inside = 0, 0, false
    while i < length do
        local b = bytes[i]
        if inside then
            -- Either end ends either comment: what one language begins another may read on.
            if b == STAR and bytes[i + 1] == SLASH then
                inside = false
                i = i + 2
            elseif b == DASH and bytes[i + 1] == DASH and bytes[i + 2] == GREATER then
                inside = false
                i = i + 3
            else
                i = i + 1
            end
        elseif b == SLASH and bytes[i + 1] == STAR then
            inside = true
            i = i + 2
        elseif begins_html(bytes, i) then
            inside = true
            i = i + 4
        elseif b == HASH or b == DASH and bytes[i + 1] == DASH then
            break
        else
            out[n] = b
            n = n + 1
            i = i + 1
        end
    end
    if inside then
        out[n] = SPACE
        n = n + 1
    end
    return ffi_string(out, n)
end

local function remove_marks(s)
    local length = #s
    local out = room(length)
    local bytes = cast(bytes_of, s)
    local i, n = 0, 0
    while i < length do
        local b = bytes[i]
        if b == SLASH and bytes[i + 1] == STAR or b == STAR and bytes[i + 1] == SLASH then
            i = i + 2
        elseif b == DASH and bytes[i + 1] == DASH then
            i = i + (bytes[i + 2] == GREATER and 3 or 2)
        elseif begins_html(bytes, i) then
            i = i + 4
        elseif b == HASH then
            i = i + 1
        else
            out[n] = b
            n = n + 1
            i = i + 1
        end
    end
    return ffi_string(out, n)
end

local MARKS = bor(classes.STAR, classes.REMARK)

return {
    -- Description: each C-style comment becomes one space; several spaces are not compressed.
    -- Example: "UNION/**/SELECT" gives "UNION SELECT".
    -- A comment that does not end becomes a space, too; an end alone stays.
    replaceComments = { changes = classes.STAR, apply = replace },

    -- Description: takes out comments: /* ... */, <!-- ... -->, and from -- or # to the end.
    -- Example: "UNION/**/SELECT" gives "UNIONSELECT", "1 -- x" gives "1 ".
    -- A comment that does not end becomes a space. libmodsecurity copies the byte after a comment
    -- unseen, a NUL that is not in the text where there is none, and so leaves the second of two
    -- comments in a row; the manual takes out each.
    removeComments = { changes = MARKS, apply = remove },

    -- Description: takes out the marks of comments and leaves what is in them: /* */ -- # <!-- -->
    -- Example: "UNION/**/SELECT--" gives "UNIONSELECT".
    -- In one pass: what only becomes a mark by that stays.
    removeCommentsChar = { changes = MARKS, apply = remove_marks },
}
