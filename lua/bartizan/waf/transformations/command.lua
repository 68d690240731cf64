--- cmdLine: a command line as the shell would see it, whatever it is dressed up with.

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

local bytes_of = ffi.typeof("const uint8_t *")

-- What to do with a byte.
local COPY, DROP, BLANK, CLOSE = 0, 1, 2, 3
local ACTION, SMALL = ffi_new("uint8_t[256]"), ffi_new("uint8_t[256]")
local function set(text, action)
    for i = 1, #text do
        ACTION[byte(text, i)] = action
    end
end
set("\"'\\^", DROP)
set(" ,;\t\r\n", BLANK)
set("/(", CLOSE)
for b = 0, 255 do
    SMALL[b] = b >= 0x41 and b <= 0x5A and b + 0x20 or b
end

local SPACE = 0x20

local function apply(s)
    local out = room(#s)
    local bytes = cast(bytes_of, s)
    local n, blank = 0, false
    for i = 0, #s - 1 do
        local b = bytes[i]
        local action = ACTION[b]
        if action == COPY then
            out[n] = SMALL[b]
            n = n + 1
            blank = false
        elseif action == BLANK then
            if not blank then
                out[n] = SPACE
                n = n + 1
                blank = true
            end
        elseif action == CLOSE then
            -- Over the space before it, if there is one.
            if blank then
                n = n - 1
            end
            out[n] = b
            n = n + 1
            blank = false
        end
    end
    return ffi_string(out, n)
end

return {
    -- Description:
    --  * takes out all backslashes, quotes of both kinds and carets;
    --  * takes out space before a slash or an open parenthesis;
    --  * makes a space of each comma and semicolon, tab and line end, and one of several spaces;
    --  * makes letters small.
    -- Example: `C^oM"mAnd"  /c` gives "command/c".
    -- Every text is well-formed. \v and \f stay, as in libmodsecurity.
    cmdLine = {
        changes = bor(classes.UPPER, classes.SPACE, classes.BLANK, classes.COMMAND,
                      classes.BACKSLASH),
        apply = apply,
    },
}
