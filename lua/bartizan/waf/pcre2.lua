--- Regular expressions by libpcre2-8, as ModSecurity 3 compiles them for @rx.
--
-- Flags: DOTALL and MULTILINE, on bytes. Decided here, for the gate and for the confirming match:
-- libmodsecurity 3 compiles so (ModSecurity 2 had DOTALL and DOLLAR_ENDONLY), and the Core Rule Set
-- is tested with it. A dot matches a line feed too, `^` and `$` match at each line feed (a carriage
-- return is no line's end), and `$` before a last one. NEVER_UTF: a pattern that begins with (*UTF)
-- would be an error at each value that is not UTF-8, so it is an error at load.
--
-- A match is bounded: in steps (the match limit), in memory (the JIT's stack, the heap), and in
-- processor time (bartizan.waf.budget). What comes to a bound has no outcome: `nil, "match limit
-- reached"`, and it is the caller's to refuse it.
--
-- The match limit alone is no bound. PCRE2 counts anew at each place where a match may begin, and
-- compiled patterns do not count the characters that a repeated class gives back: 16 KiB of "<!--"
-- cost 941160 of the Core Rule Set minutes, and no place a million steps. So places are tried by
-- strides, with few steps for many places and many steps for few, and time is looked at in between.
--
-- A pattern is parsed at load, where its errors belong, and compiled to machine code at its first
-- match: of some hundred patterns of a rule set few are ever run in a worker.

local budget = require("bartizan.waf.budget")

local ffi = require("ffi")

local C = ffi.load("libpcre2-8.so.0")
local band = require("bit").band
local begin_budget = budget.begin
local budget_left = budget.left
local cast = ffi.cast
local error = error
local ffi_new = ffi.new
local ffi_string = ffi.string
local find = string.find
local finish_budget = budget.finish
local format = string.format
local gc = ffi.gc
local is_budget_running = budget.is_running
local is_budget_spent = budget.is_spent
local max = math.max
local min = math.min
local setmetatable = setmetatable
local sub = string.sub
local tonumber = tonumber
local type = type
local used = require("bartizan.clock").used

ffi.cdef [[
typedef struct pcre2_real_code_8 pcre2_code_8;
typedef struct pcre2_real_match_data_8 pcre2_match_data_8;
typedef struct pcre2_real_match_context_8 pcre2_match_context_8;
typedef struct pcre2_real_jit_stack_8 pcre2_jit_stack_8;

pcre2_code_8 *pcre2_compile_8(const char *pattern, size_t length, uint32_t options,
                              int *error, size_t *offset, void *context);
void pcre2_code_free_8(pcre2_code_8 *code);
int pcre2_pattern_info_8(const pcre2_code_8 *code, uint32_t what, void *where);
int pcre2_jit_compile_8(pcre2_code_8 *code, uint32_t options);
pcre2_match_data_8 *pcre2_match_data_create_8(uint32_t pairs, void *context);
size_t *pcre2_get_ovector_pointer_8(pcre2_match_data_8 *data);
pcre2_match_context_8 *pcre2_match_context_create_8(void *context);
int pcre2_set_match_limit_8(pcre2_match_context_8 *context, uint32_t limit);
int pcre2_set_depth_limit_8(pcre2_match_context_8 *context, uint32_t limit);
int pcre2_set_offset_limit_8(pcre2_match_context_8 *context, size_t limit);
int pcre2_set_heap_limit_8(pcre2_match_context_8 *context, uint32_t kibibytes);
pcre2_jit_stack_8 *pcre2_jit_stack_create_8(size_t start, size_t maximum, void *context);
void pcre2_jit_stack_assign_8(pcre2_match_context_8 *context, void *callback, void *data);
int pcre2_match_8(const pcre2_code_8 *code, const char *subject, size_t length, size_t start,
                  uint32_t options, pcre2_match_data_8 *data, pcre2_match_context_8 *context);
int pcre2_get_error_message_8(int number, char *buffer, size_t size);
]]

local DOTALL = 0x00000020
local MULTILINE = 0x00000400
local NEVER_UTF = 0x00001000
local USE_OFFSET_LIMIT = 0x00800000
local OPTIONS = DOTALL + MULTILINE + NEVER_UTF + USE_OFFSET_LIMIT
local JIT_COMPLETE = 1

local INFO_ALLOPTIONS = 0
local ANCHORED = 0x80000000

local NO_MATCH = -1
local MATCH_LIMIT_REACHED = -47
-- What a bound is called: PCRE2_ERROR_JIT_STACKLIMIT, _MATCHLIMIT, _DEPTHLIMIT, _HEAPLIMIT.
local LIMITS = { [-46] = true, [-47] = true, [-53] = true, [-63] = true }

-- PCRE2_UNSET, as an offset limit: none.
local NO_OFFSET_LIMIT = cast("size_t", -1)

-- A number of ours, in the place of one of PCRE2's.
local OUT_OF_TIME = -1000

-- How many places are tried at once, with how many steps from each, level by level: one goes up
-- where the steps do not do, and down again behind that place.
local PLACES = { 64, 8, 1, 1, 1, 1 }
local STEPS = { 512, 4096, 32768, 262144, 2097152, 4294967295 }

-- The whole match and nine groups: the manual's TX:0 to TX:9.
local PAIRS = 10

local JIT_STACK_START = 32 * 1024
local JIT_STACK_MAXIMUM = 1024 * 1024
local HEAP_KIBIBYTES = 20000

local DEFAULT_MATCH_LIMIT = 1000000

local _M = { LIMIT_REACHED = "match limit reached" }

local LIMIT_REACHED = _M.LIMIT_REACHED

-- A NULL pointer is true in a condition: only the comparison tells.
local function made(pointer)
    if pointer == nil then
        error("out of memory for regular expressions")
    end
    return pointer
end

local context = made(C.pcre2_match_context_create_8(nil))
local data = made(C.pcre2_match_data_create_8(PAIRS, nil))
local ovector = C.pcre2_get_ovector_pointer_8(data)
local jit_stack = made(C.pcre2_jit_stack_create_8(JIT_STACK_START, JIT_STACK_MAXIMUM, nil))
C.pcre2_jit_stack_assign_8(context, nil, jit_stack)
C.pcre2_set_heap_limit_8(context, HEAP_KIBIBYTES)

local match_limit

--- Sets how many steps may be taken from one place of a value, for all patterns of this process.
function _M.set_match_limit(steps)
    match_limit = steps
    C.pcre2_set_depth_limit_8(context, steps)
end
_M.set_match_limit(DEFAULT_MATCH_LIMIT)

local function message(number)
    local buffer = ffi_new("char[256]")
    C.pcre2_get_error_message_8(number, buffer, 256)
    return ffi_string(buffer)
end

local Regex = {}
Regex.__index = Regex

--- Parses a pattern.
-- @param pattern string: of bytes; NUL can be in it
-- @return table: the regular expression, with the methods below
-- @return nil, string: what is wrong with the pattern, and where
function _M.new(pattern)
    if type(pattern) ~= "string" then
        error("pcre2.new: expected a string, got " .. type(pattern), 2)
    end
    local number, offset = ffi_new("int[1]"), ffi_new("size_t[1]")
    local code = C.pcre2_compile_8(pattern, #pattern, OPTIONS, number, offset, nil)
    if code == nil then
        return nil, format("%s at byte %d of the pattern", message(number[0]),
                           tonumber(offset[0]))
    end
    local options = ffi_new("uint32_t[1]")
    C.pcre2_pattern_info_8(code, INFO_ALLOPTIONS, options)
    return setmetatable({
        code = gc(code, C.pcre2_code_free_8),
        compiled = false,
        -- There is one place to try, or \G means the place where a call begins.
        whole = band(options[0], ANCHORED) ~= 0 or find(pattern, "\\G", 1, true) ~= nil,
    }, Regex)
end

--- Gives the memory back at once; the regular expression is of no use after that.
function Regex:free()
    C.pcre2_code_free_8(gc(self.code, nil))
    self.code = nil
end

-- How many pairs the last match set; those beyond PAIRS have no room.
local pairs_set = 0

local function match_from(regex, subject, start, last, steps)
    C.pcre2_set_offset_limit_8(context, last)
    C.pcre2_set_match_limit_8(context, steps)
    local number = C.pcre2_match_8(regex.code, subject, #subject, start, 0, data, context)
    pairs_set = number == 0 and PAIRS or number
    return number
end

-- Whether there is time to try a place with more steps, by what it cost with fewer.
local function can_afford(level, cost)
    local growth = STEPS[level + 1] / STEPS[level] * PLACES[level + 1] / PLACES[level]
    return cost * growth < budget_left()
end

-- What a place matches does not depend on where a call begins: all calls see the whole subject.
local function match_by_strides(regex, subject, start)
    local length, level = #subject, 1
    while start <= length do
        local steps = min(STEPS[level], match_limit)
        -- The first level is the common one, and cheap: its cost is not worth a system call.
        local before = level > 1 and used()
        local number = match_from(regex, subject, start, start + PLACES[level] - 1, steps)
        if number == MATCH_LIMIT_REACHED and steps < match_limit then
            if before and not can_afford(level, used() - before) then
                return OUT_OF_TIME
            end
            level = level + 1
        elseif number ~= NO_MATCH then
            return number
        else
            start = start + PLACES[level]
            level = max(level - 1, 1)
        end
        if is_budget_spent() then
            return OUT_OF_TIME
        end
    end
    return NO_MATCH
end

local function run(regex, subject, start)
    if not regex.compiled then
        -- Without memory for machine code, or on a machine that allows none, PCRE2 interprets.
        C.pcre2_jit_compile_8(regex.code, JIT_COMPLETE)
        regex.compiled = true
    end
    local running = is_budget_running()
    if not running then
        begin_budget()
    elseif is_budget_spent() then
        return OUT_OF_TIME
    end
    local number
    if regex.whole then
        number = match_from(regex, subject, start, NO_OFFSET_LIMIT, match_limit)
    else
        number = match_by_strides(regex, subject, start)
    end
    if not running then
        finish_budget()
    end
    return number
end

local function failed(number)
    if LIMITS[number] or number == OUT_OF_TIME then
        return nil, LIMIT_REACHED
    end
    return nil, "matching failed: " .. message(number)
end

--- Says whether a value matches somewhere.
-- @return boolean
-- @return nil, string: there is no outcome; "match limit reached" where a bound was the cause
function Regex:test(subject)
    local number = run(self, subject, 0)
    if number >= 0 then
        return true
    elseif number == NO_MATCH then
        return false
    end
    return failed(number)
end

--- Finds the first match that begins at a place or after it. What is before it counts as context.
-- @param subject string
-- @param start number: from 0 on
-- @return number, number: where the match begins and ends, from 0 on, the end excluded
-- @return false: there is none
-- @return nil, string: there is no outcome
function Regex:find(subject, start)
    local number = run(self, subject, start)
    if number >= 0 then
        return tonumber(ovector[0]), tonumber(ovector[1])
    elseif number == NO_MATCH then
        return false
    end
    return failed(number)
end

--- Puts what the last match matched into a table, as a whole and by its groups.
-- A group that took no part is left out: what the table had under its number stays.
-- @param subject string: the value of that match
-- @param captures table
-- @param first number: under which number the whole match goes
-- @param last number: the highest number to set
-- @return number: the number behind the last group that the match reached
function _M.captures(subject, captures, first, last)
    for i = 0, pairs_set - 1 do
        local from, to = tonumber(ovector[2 * i]), tonumber(ovector[2 * i + 1])
        -- A group without part in the match has PCRE2_UNSET, more than any length.
        if to <= #subject and first + i <= last then
            captures[first + i] = sub(subject, from + 1, to)
        end
    end
    return first + pairs_set
end

return _M
