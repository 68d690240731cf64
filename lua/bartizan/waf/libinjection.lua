--- libinjection: SQL injection and cross-site scripting told by how a text splits into tokens.
--
-- Debian has it inside libmodsecurity3, which exports its functions. A call costs more than most
-- values are worth, so what it can say nothing about is sorted out before:
--
-- - cross-site scripting needs a tag (`<`), or an attribute with its value (`=`);
-- - one SQL token is no injection. Tokens are: a word; words joined by dots, where each begins as
--   a word does (`LIMIT.1d` is two tokens); numbers with single dashes and dots between them fold
--   to one number (two dashes begin a comment).
--
-- Both are exact, not a guess: tests/unit/lua/waf/test_libinjection.py holds them against the
-- library with its own words.

local ffi = require("ffi")

local cast = ffi.cast
local ffi_new = ffi.new
local ffi_string = ffi.string
local find = string.find
local pcall = pcall

ffi.cdef [[
int libinjection_sqli(const char *text, size_t length, char fingerprint[]);
int libinjection_xss(const char *text, size_t length);
]]

local _M = {}

local lib

--- Loads the library. To be called, once or more, before the functions below.
-- @return true
-- @return nil, string: it cannot be loaded
function _M.load()
    if not lib then
        local ok, loaded = pcall(ffi.load, "libmodsecurity.so.3")
        if not ok then
            return nil, "libinjection cannot be loaded: install libmodsecurity3"
        end
        lib = loaded
    end
    return true
end

-- libinjection's longest fingerprint has 5 characters, and a zero byte.
local fingerprint = ffi_new("char[8]")

local bytes_of = ffi.typeof("const uint8_t *")

-- What a byte may be in a harmless value. A number is compared with the state it is read in.
local OTHER, LETTER, DIGIT, DOT, DASH = 0, 1, 2, 3, 4
local kind = ffi_new("uint8_t[256]")
for b = 0, 255 do
    local c = string.char(b)
    kind[b] = c:find("^[A-Za-z_]$") and LETTER or c:find("^[0-9]$") and DIGIT
        or c == "." and DOT or c == "-" and DASH or OTHER
end

-- Whether a value is words joined by dots: each begins with a letter.
local function is_words(bytes, length)
    local previous = DOT
    for i = 0, length - 1 do
        local this = kind[bytes[i]]
        if this == OTHER or this == DASH or (previous == DOT and this ~= LETTER) then
            return false
        end
        previous = this
    end
    return true
end

-- Whether a value is of digits, dots and dashes, no two dashes in a row.
local function is_numbers(bytes, length)
    local previous = OTHER
    for i = 0, length - 1 do
        local this = kind[bytes[i]]
        if this < DIGIT or (this == DASH and previous == DASH) then
            return false
        end
        previous = this
    end
    return true
end

--- Whether a value cannot be SQL injection, whatever the library would say: a cheap first look.
-- False means only that the library is to be asked.
function _M.is_harmless_sql(value)
    local length = #value
    if length == 0 then
        return true
    end
    local bytes = cast(bytes_of, value)
    if kind[bytes[0]] == LETTER then
        return is_words(bytes, length)
    end
    return is_numbers(bytes, length)
end
local is_harmless_sql = _M.is_harmless_sql

--- Whether a value is SQL injection.
-- @param value string
-- @return string: the fingerprint of its tokens
-- @return false
function _M.sqli(value)
    if is_harmless_sql(value) or lib.libinjection_sqli(value, #value, fingerprint) == 0 then
        return false
    end
    return ffi_string(fingerprint)
end

--- Whether a value cannot be cross-site scripting. False: the library is to be asked.
function _M.is_harmless_html(value)
    return not (find(value, "<", 1, true) or find(value, "=", 1, true))
end
local is_harmless_html = _M.is_harmless_html

--- Whether a value is cross-site scripting.
-- @param value string
-- @return boolean
function _M.xss(value)
    return not is_harmless_html(value) and lib.libinjection_xss(value, #value) ~= 0
end

return _M
