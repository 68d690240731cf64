--- Pattern databases that `bartizan rules compile` made, searched by libhs (Hyperscan, Vectorscan).
--
--     local db = assert(hyperscan.load(bytes))    -- at load
--     db:any(value)                               -- does any pattern match?
--     db:ids(value, out)                          -- which ones?
--
-- A database is tied to the library's version and to what the processor can do: one that was made
-- for another is refused with a sentence, and is to be compiled anew.
--
-- The scratch, memory that a scan works in, is one for all databases and grows with each that is
-- loaded. A worker has a copy of its own from the fork on, and never scans twice at the same time.

local ffi = require("ffi")

local cast = ffi.cast
local error = error
local ffi_new = ffi.new
local ffi_string = ffi.string
local format = string.format
local gc = ffi.gc
local off = require("jit").off
local pcall = pcall
local setmetatable = setmetatable
local type = type

ffi.cdef [[
typedef struct hs_database hs_database_t;
typedef struct hs_scratch hs_scratch_t;
typedef int (*match_event_handler)(unsigned int id, unsigned long long from,
                                   unsigned long long to, unsigned int flags, void *context);

const char *hs_version(void);
int hs_deserialize_database(const char *bytes, size_t length, hs_database_t **database);
int hs_free_database(hs_database_t *database);
int hs_alloc_scratch(const hs_database_t *database, hs_scratch_t **scratch);
int hs_free_scratch(hs_scratch_t *scratch);
int hs_scan(const hs_database_t *database, const char *data, unsigned int length,
            unsigned int flags, hs_scratch_t *scratch, match_event_handler on_event,
            void *context);
int abs(int number);
]]

local SUCCESS = 0
local SCAN_TERMINATED = -3

-- From hs_common.h. What is not here can only come of a fault of ours, and is told by its number.
local MESSAGES = {
    [-1] = "invalid argument",
    [-2] = "out of memory",
    [-5] = "made by another version of Hyperscan: compile the rules anew",
    [-6] = "made for another processor: compile the rules anew",
    [-7] = "made for another way of scanning",
    [-8] = "memory is not aligned",
    [-10] = "the scratch is in use",
    [-11] = "this processor lacks what Hyperscan needs (SSSE3)",
    [-13] = "not a pattern database",
}

local Database = {}
Database.__index = Database

local _M = {}

local lib
-- The one scratch, in a holder whose finalizer frees it; it is another one after it has grown.
local scratch_holder, scratch

local function sentence(number)
    return "Hyperscan: " .. (MESSAGES[number] or format("error %d", number))
end

-- Loaded at the first use: a gateway without rules needs no libhs.
local function library()
    if not lib then
        local ok, loaded = pcall(ffi.load, "libhs.so.5")
        if not ok then
            return nil, "libhs.so.5 cannot be loaded: install libhyperscan5 or libvectorscan5"
        end
        lib = loaded
        scratch_holder = gc(ffi_new("hs_scratch_t *[1]"), function(holder)
            lib.hs_free_scratch(holder[0])
        end)
    end
    return lib
end

--- The library's version, as a database must match it.
-- @return string
-- @return nil, string: it cannot be loaded
function _M.version()
    local loaded, err = library()
    if not loaded then
        return nil, err
    end
    return ffi_string(loaded.hs_version())
end

--- Makes a database of what hs_serialize_database wrote.
-- @param bytes string
-- @return table: the database, with the methods below; its memory is freed with it
-- @return nil, string: why it cannot be used
function _M.load(bytes)
    if type(bytes) ~= "string" then
        error("hyperscan.load: expected a string, got " .. type(bytes), 2)
    end
    local loaded, err = library()
    if not loaded then
        return nil, err
    end
    local holder = ffi_new("hs_database_t *[1]")
    local number = lib.hs_deserialize_database(bytes, #bytes, holder)
    if number ~= SUCCESS then
        return nil, sentence(number)
    end
    local database = gc(holder[0], lib.hs_free_database)
    number = lib.hs_alloc_scratch(database, scratch_holder)
    if number ~= SUCCESS then
        return nil, sentence(number)
    end
    scratch = scratch_holder[0]
    return setmetatable({ database = database }, Database)
end

-- A C function as the callback: it returns the pattern's id, which is never 0, so that the scan
-- ends at the first match. No Lua runs, and the call can be compiled.
local stop = cast("match_event_handler", ffi.C.abs)

--- Says whether any pattern matches.
-- @param value string
-- @return boolean
-- @return nil, string: the scan failed
function Database:any(value)
    local number = lib.hs_scan(self.database, value, #value, 0, scratch, stop, nil)
    if number == SUCCESS then
        return false
    elseif number == SCAN_TERMINATED then
        return true
    end
    return nil, sentence(number)
end

-- The round of the scan in which each id was last reported.
local seen, round = {}, 0
local found = { count = 0, out = nil }

-- Made once: a callback made for each scan would have to be freed.
local on_event = cast("match_event_handler", function(id)
    -- A pattern may be reported once for each place where it ends.
    if seen[id] ~= round then
        seen[id] = round
        found.count = found.count + 1
        found.out[found.count] = id
    end
    return 0
end)

--- Lists the patterns that match.
-- @param value string
-- @param out table: gets the ids from [1] on, in no order, each once; what is behind them stays
-- @return number: how many they are
-- @return nil, string: the scan failed
function Database:ids(value, out)
    found.count, found.out, round = 0, out, round + 1
    local number = lib.hs_scan(self.database, value, #value, 0, scratch, on_event, nil)
    if number ~= SUCCESS then
        return nil, sentence(number)
    end
    return found.count
end
-- A C function that calls back into Lua must not be called from compiled code ("bad callback").
off(Database.ids)

return _M
