--- normalizePath: a path as the file system would walk it.

local bit = require("bit")
local buffer = require("bartizan.waf.transformations.buffer")
local classes = require("bartizan.waf.classes")
local ffi = require("ffi")

local bor = bit.bor
local cast = ffi.cast
local ffi_string = ffi.string
local room = buffer.room

local bytes_of = ffi.typeof("const uint8_t *")
local DOT, SLASH, BACKSLASH = 0x2E, 0x2F, 0x5C

-- `other` is a second byte that separates, or the slash again.
local function normalize(s, other)
    local length = #s
    local out = room(length + 1)
    local bytes = cast(bytes_of, s)
    local n, from = 0, 0
    local absolute = length > 0 and (bytes[0] == SLASH or bytes[0] == other)
    local trailing = length > 0 and (bytes[length - 1] == SLASH or bytes[length - 1] == other)
    -- The path as it is written is a slash before each name. `names` are those that a
    -- back-reference can take away again.
    local names = 0
    for i = 0, length do
        if i == length or bytes[i] == SLASH or bytes[i] == other then
            local size = i - from
            local dots = size > 0 and size <= 2 and bytes[from] == DOT and bytes[i - 1] == DOT
            if dots and size == 2 and names > 0 then
                -- Each byte is taken back once at most, so that this is no second loop over all.
                repeat
                    n = n - 1
                until out[n] == SLASH
                names = names - 1
            elseif size > 0 and not dots or dots and size == 2 and not absolute then
                out[n] = SLASH
                n = n + 1
                for k = from, i - 1 do
                    out[n] = bytes[k]
                    n = n + 1
                end
                if not dots then
                    names = names + 1
                end
            end
            from = i + 1
        end
    end
    if trailing and (absolute or n > 0) then
        out[n] = SLASH
        n = n + 1
    end
    if absolute or n == 0 then
        return ffi_string(out, n)
    end
    return ffi_string(out + 1, n - 1)
end

local function apply(s)
    return normalize(s, SLASH)
end

local function apply_win(s)
    return normalize(s, BACKSLASH)
end

-- A text without a separator is one name, and in order unless it is a dot.
local path = { changes = bor(classes.SLASH, classes.DOT), apply = apply }
local path_win = {
    changes = bor(classes.SLASH, classes.DOT, classes.BACKSLASH),
    apply = apply_win,
}

return {
    -- Description: takes out multiple slashes, references to the directory itself, and
    -- back-references with the directory before them, except those at the beginning.
    -- Example: "/etc/./x/../passwd" gives "/etc/passwd", "../a/../b" gives "../b".
    -- A slash at the end stays if there was one, and none comes where there was none, so that "/.."
    -- is empty. A name that is more than two dots, or only ends in them, is a name. (libmodsecurity
    -- takes two dots at the end of any name for a back-reference.)
    normalizePath = path,
    normalisePath = path,

    -- Description: like normalizePath, after each backslash has become a slash.
    -- Example: "\a\..\b" gives "/b".
    normalizePathWin = path_win,
    normalisePathWin = path_win,
}
