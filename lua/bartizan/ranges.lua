-- Address ranges in a file that bartizan/ranges.py compiled, which also has the layout.
--
-- The file is mapped, not read: all workers share its pages in the page cache, so a million
-- entries cost no time at load and no worker any memory of its own.

local ffi = require "ffi"

local byte = string.byte
local cast = ffi.cast
local errno = ffi.errno
local error = error
local ffi_string = ffi.string
local format = string.format
local gc = ffi.gc
local rshift = require("bit").rshift
local setmetatable = setmetatable
local tonumber = tonumber
local C = ffi.C

ffi.cdef [[
int open(const char *path, int flags, ...);
int close(int fd);
long lseek(int fd, long offset, int whence);
void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);
int munmap(void *address, size_t length);
char *strerror(int number);
]]

local MAGIC = "BZRANGE2"
local HEADER_SIZE = 40

local O_RDONLY_CLOEXEC = 0x80000
local SEEK_END = 2
local PROT_READ = 1
local MAP_SHARED = 1
local MAP_FAILED = cast("void *", -1)

local Ranges = {}
Ranges.__index = Ranges

local function system_error(path, what)
    return nil, format("%s: cannot %s: %s", path, what, ffi_string(C.strerror(errno())))
end

local function map(path)
    local fd = C.open(path, O_RDONLY_CLOEXEC)
    if fd < 0 then
        return system_error(path, "open")
    end
    local size = tonumber(C.lseek(fd, 0, SEEK_END))
    if size < HEADER_SIZE then
        C.close(fd)
        return nil, format("%s: not a file of address ranges: %d bytes", path, size)
    end
    local address = C.mmap(nil, size, PROT_READ, MAP_SHARED, fd, 0)
    if address == MAP_FAILED then
        local _, err = system_error(path, "map")
        C.close(fd)
        return nil, err
    end
    C.close(fd)
    -- A reload closes the Lua state that held the old file, and so gives its memory back.
    return gc(address, function(mapped) C.munmap(mapped, size) end), size
end

-- The words of one family, from the counts in its header on; width is the words of an address.
local function family(header, words, width)
    local count, shift, buckets = header[0], header[2], header[3]
    local firsts = words + buckets + 1
    return {
        count = count,
        base = header[1],
        shift = shift,
        buckets = buckets,
        limit = buckets * 2 ^ shift,
        index = words,
        firsts = firsts,
        lasts = firsts + width * count,
        size = 4 * (buckets + 1 + 2 * width * count),
    }
end

-- A search never looks beyond the ranges if the index rises from none to all of them.
local function index_is_sound(ranges)
    local index, buckets = ranges.index, ranges.buckets
    if ranges.shift > 31 or index[0] ~= 0 or index[buckets] ~= ranges.count then
        return false
    end
    for bucket = 1, buckets do
        if index[bucket] < index[bucket - 1] then
            return false
        end
    end
    return true
end

-- Opens a compiled file.
-- Returns the ranges, or nil and what is wrong with the file.
local function open(path)
    if not ffi.abi("le") then
        error("address ranges are read on little-endian machines only", 2)
    end
    local address, size = map(path)
    if not address then
        return nil, size
    end
    if ffi_string(address, #MAGIC) ~= MAGIC then
        return nil, format("%s: not a file of address ranges: it does not begin with %s",
                           path, MAGIC)
    end
    local header = cast("const uint32_t *", address) + #MAGIC / 4
    local body = header + 8
    local v4 = family(header, body, 1)
    local wanted = HEADER_SIZE + v4.size
    local v6 = wanted < size and family(header + 4, body + v4.size / 4, 4)
    wanted = wanted + (v6 and v6.size or 4)
    if size ~= wanted then
        return nil, format("%s: damaged: %d bytes where its counts ask for %.0f",
                           path, size, wanted)
    end
    if not (index_is_sound(v4) and index_is_sound(v6)) then
        return nil, path .. ": damaged: its index leads astray"
    end
    -- The address holds the mapping as long as this table lives.
    return setmetatable({ address = address, v4 = v4, v6 = v6 }, Ranges)
end

-- 32-bit words rather than 64-bit ones: a number of 64 bits is an object in LuaJIT, and two to
-- three times as slow here.
local function word(address, from)
    local a, b, c, d = byte(address, from, from + 3)
    return ((a * 256 + b) * 256 + c) * 256 + d
end

-- Which ranges to search for an address by its most significant word: those before the first of
-- them begin below the address, those from the second on above it.
local function slice(ranges, first_word)
    local offset = first_word - ranges.base
    if offset < 0 then
        return 0, 0
    elseif offset >= ranges.limit then
        return ranges.count, ranges.count
    end
    local bucket = rshift(offset, ranges.shift)
    return ranges.index[bucket], ranges.index[bucket + 1]
end

-- Both searches keep: what is below `low` begins at or before the address, what is at or above
-- `high` begins after it. Ranges are disjoint, so only the last one below `low` can hold it.

local function contains4(ranges, address)
    local firsts = ranges.firsts
    local low, high = slice(ranges, address)
    while low < high do
        local middle = rshift(low + high, 1)
        if firsts[middle] <= address then
            low = middle + 1
        else
            high = middle
        end
    end
    return low > 0 and address <= ranges.lasts[low - 1]
end

-- Negative, zero or positive as the address at `at` is below, equal to or above a:b:c:d.
local function compare(words, at, a, b, c, d)
    local difference = words[at] - a
    if difference == 0 then
        difference = words[at + 1] - b
        if difference == 0 then
            difference = words[at + 2] - c
            if difference == 0 then
                difference = words[at + 3] - d
            end
        end
    end
    return difference
end

local function contains6(ranges, a, b, c, d)
    local firsts = ranges.firsts
    local low, high = slice(ranges, a)
    while low < high do
        local middle = rshift(low + high, 1)
        if compare(firsts, 4 * middle, a, b, c, d) <= 0 then
            low = middle + 1
        else
            high = middle
        end
    end
    return low > 0 and compare(ranges.lasts, 4 * (low - 1), a, b, c, d) >= 0
end

-- Says whether an address is in one of the ranges.
-- Takes the address as nginx's $binary_remote_addr has it: 4 bytes, or 16 for IPv6. An IPv4-mapped
-- IPv6 address (RFC 4291 section 2.5.5.2) is the IPv4 address that it holds, so that neither
-- spelling gets around a list.
-- Returns true, false, or nil and an error where it is neither 4 nor 16 bytes long.
function Ranges:contains(address)
    local length = #address
    if length == 4 then
        return contains4(self.v4, word(address, 1))
    end
    if length ~= 16 then
        return nil, "not an IP address"
    end
    local a, b, c, d = word(address, 1), word(address, 5), word(address, 9), word(address, 13)
    if a == 0 and b == 0 and c == 0xffff then
        return contains4(self.v4, d)
    end
    return contains6(self.v6, a, b, c, d)
end

return { open = open }
