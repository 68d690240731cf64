--- Operators that compare addresses with networks.
--
-- A list is kept as one set a prefix length: a look-up takes as many steps as there are different
-- lengths, at most 33 and 129, however long the list is. An IPv4-mapped IPv6 address (RFC 4291
-- section 2.5.5.2) is the IPv4 address that it holds, so that neither spelling gets around a list.

local ffi = require("ffi")

local C = ffi.C
local byte = string.byte
local char = string.char
local error = error
local ffi_new = ffi.new
local ffi_string = ffi.string
local find = string.find
local floor = math.floor
local format = string.format
local gmatch = string.gmatch
local ipairs = ipairs
local match = string.match
local sub = string.sub
local tonumber = tonumber

ffi.cdef [[
int inet_pton(int family, const char *text, void *address);
]]

local AF_INET, AF_INET6 = 2, 10
local MAPPED = ("\0"):rep(10) .. "\255\255"

local _M = {}

local buffer = ffi_new("uint8_t[16]")

-- The bytes of an address: 4, or 16 for IPv6. Nil where the text is none.
local function parse(text)
    -- A C string ends at a zero byte, and so would "127.0.0.1\0.example".
    if find(text, "\0", 1, true) then
        return nil
    elseif not find(text, ":", 1, true) then
        return C.inet_pton(AF_INET, text, buffer) == 1 and ffi_string(buffer, 4) or nil
    end
    return C.inet_pton(AF_INET6, text, buffer) == 1 and ffi_string(buffer, 16) or nil
end

-- An address with all bits after the prefix as zeros left out.
local function prefix(address, length)
    local rest = length % 8
    local whole = (length - rest) / 8
    if rest == 0 then
        return sub(address, 1, whole)
    end
    local unit = 2 ^ (8 - rest)
    return sub(address, 1, whole) .. char(floor(byte(address, whole + 1) / unit) * unit)
end

-- Sets of prefixes: by_length[n] for addresses of one family, and the lengths that there are.
local function new_family()
    return { by_length = {}, lengths = {} }
end

local function add(networks, text)
    local address_text, length_text = match(text, "^([^/]+)/(%d%d?%d?)$")
    local address = parse(address_text or text)
    local length = address and tonumber(length_text or 8 * #address)
    if not address or length > 8 * #address then
        error(format("%q is not an address or a network such as 192.0.2.0/24", text), 0)
    end
    if #address == 16 and length >= 96 and sub(address, 1, 12) == MAPPED then
        address, length = sub(address, 13), length - 96
    end
    local family = #address == 4 and networks.v4 or networks.v6
    if not family.by_length[length] then
        family.by_length[length] = {}
        family.lengths[#family.lengths + 1] = length
    end
    family.by_length[length][prefix(address, length)] = true
end

local function add_all(networks, entries)
    for _, entry in ipairs(entries) do
        add(networks, entry)
    end
end

local function contains(networks, address)
    if #address == 16 and sub(address, 1, 12) == MAPPED then
        address = sub(address, 13)
    end
    local family = #address == 4 and networks.v4 or networks.v6
    for _, length in ipairs(family.lengths) do
        if family.by_length[length][prefix(address, length)] then
            return true
        end
    end
    return false
end

local function check(op, value)
    local address = parse(value)
    if address and contains(op.networks, address) then
        return true, value
    end
    return false
end

local function new_networks(op)
    op.networks = { v4 = new_family(), v6 = new_family() }
    op.check = check
    return op.networks
end

--- ipMatch
-- Description: the value is an address in one of the networks. What is no address is in none.
-- Arguments: IPv4 and IPv6 addresses and networks, set apart by commas; without macros.
-- Returns: the value.
-- Example: SecRule REMOTE_ADDR "@ipMatch 192.168.1.100,192.168.1.50,10.10.50.0/24" "id:161"
function _M.ipMatch(op, text, entries)
    if not text then
        error("macros have no meaning in its argument", 0)
    end
    local networks = new_networks(op)
    if entries then
        add_all(networks, entries)
        return
    end
    for item in gmatch(text .. ",", "%s*([^,]-)%s*,") do
        add(networks, item)
    end
end

local function from_file(op, _, entries)
    if not entries then
        error("the plan has no networks for it", 0)
    end
    add_all(new_networks(op), entries)
end

--- ipMatchFromFile
-- Description: as @ipMatch, with networks from a file.
-- Arguments: the name of a file with one network a line; blank lines and those that begin with #
-- count for nothing. The file is read when rules are compiled.
-- Returns: the value.
-- Example: SecRule REMOTE_ADDR "@ipMatchFromFile ips.txt" "id:162"
_M.ipMatchFromFile = from_file

--- ipMatchF
-- A short name of @ipMatchFromFile.
_M.ipMatchF = from_file

return _M
