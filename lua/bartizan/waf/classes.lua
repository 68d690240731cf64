--- Classes of bytes: what a text holds, as one mask, so that work that cannot change it is skipped.
--
-- `of(text)` goes once through the bytes. Every transformation states the classes without which it
-- leaves a text as it is (its `changes`): where the two masks share no bit, its result is the text.

local bit = require("bit")
local ffi = require("ffi")

local bor = bit.bor
local byte = string.byte
local cast = ffi.cast
local char = string.char
local ffi_new = ffi.new
local find = string.find
local ipairs = ipairs
local lshift = bit.lshift

local NAMES = {
    "ANY",        -- every text, the empty one too: for what never leaves a text alone
    "NUL",
    "SPACE",
    "BLANK",      -- the other white space of C's isspace(): \t \n \v \f \r
    "NBSP",       -- 0xA0, the space that does not break, in ISO 8859-1
    "HIGH",       -- bytes from 0x80 on
    "UPPER",
    "LOWER",
    "DIGIT",
    "X",          -- x and X, without which there is no 0x41
    "ENCODED",    -- % and +
    "AMPERSAND",
    "BACKSLASH",
    "SLASH",
    "STAR",       -- without which there is no /* and no */
    "REMARK",     -- - and #, which begin a comment in SQL and in scripts
    "COMMAND",    -- " ' ^ , ; which command lines have around and between words
    "OTHER",
    "SPECIAL",    -- all but PLAIN, what harmless values consist of and few attacks do without
    "DOT",        -- the whole text is one dot: the one path without a slash that is not in order
}

local _M = {}

for i, name in ipairs(NAMES) do
    _M[name] = lshift(1, i - 1)
end

--- Every class at once: of a transformation that may change any text.
_M.ALL = lshift(1, #NAMES) - 1

local function members(set, name, mask)
    for i = 1, #set do
        local b = byte(set, i)
        mask[b] = bor(mask[b], _M[name])
    end
end

local function range(first, last, name, mask)
    for b = first, last do
        mask[b] = bor(mask[b], _M[name])
    end
end

local CLASS = ffi_new("int32_t[256]")
members("\0", "NUL", CLASS)
members(" ", "SPACE", CLASS)
members("\t\n\v\f\r", "BLANK", CLASS)
members("\160", "NBSP", CLASS)
range(0x80, 0xFF, "HIGH", CLASS)
range(0x41, 0x5A, "UPPER", CLASS)
range(0x61, 0x7A, "LOWER", CLASS)
range(0x30, 0x39, "DIGIT", CLASS)
members("xX", "X", CLASS)
members("%+", "ENCODED", CLASS)
members("&", "AMPERSAND", CLASS)
members("\\", "BACKSLASH", CLASS)
members("/", "SLASH", CLASS)
members("*", "STAR", CLASS)
members("-#", "REMARK", CLASS)
members("\"'^,;", "COMMAND", CLASS)
for b = 0, 255 do
    if CLASS[b] == 0 then
        CLASS[b] = _M.OTHER
    end
end

-- As bartizan/rules/patterns.py has it: texts of these alone are asked of a small database.
local PLAIN = "^[%w\128-\255 _.,@:+!?%-]$"
for b = 0, 255 do
    if not find(char(b), PLAIN) then
        CLASS[b] = bor(CLASS[b], _M.SPECIAL)
    end
end

local ANY, DOT = _M.ANY, _M.DOT
local bytes_of = ffi.typeof("const uint8_t *")

--- Says what a text holds.
-- @param text string
-- @return number: the classes of its bytes, always with ANY; a positive number of 32 bits
function _M.of(text)
    local bytes = cast(bytes_of, text)
    local mask = ANY
    for i = 0, #text - 1 do
        mask = bor(mask, CLASS[bytes[i]])
    end
    if text == "." then
        mask = bor(mask, DOT)
    end
    return mask
end

return _M
