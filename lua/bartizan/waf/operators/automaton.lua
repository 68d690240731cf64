--- Finds which of many phrases is in a value, in one pass over it and without regard to ASCII case.
--
-- Aho and Corasick's automaton, "Efficient string matching" (1975): a trie of the phrases, where
-- each state knows the state of its longest suffix that is a state, too. A value of n bytes takes
-- at most 2n steps whatever the phrases are, which an alternation of them cannot promise. States
-- lie in memory outside Lua's heap; their transitions are in one hash table, as most have a single
-- one and a square of states and bytes would take tens of megabytes for the Core Rule Set's lists.

local bit = require("bit")
local ffi = require("ffi")

local band = bit.band
local bxor = bit.bxor
local cast = ffi.cast
local error = error
local ffi_fill = ffi.fill
local ffi_new = ffi.new
local ipairs = ipairs
local max = math.max
local rshift = bit.rshift
local setmetatable = setmetatable
local tobit = bit.tobit

local bytes_of = ffi.typeof("const uint8_t *")

local _M = {}

-- A key of the hash table is state * 256 + byte, and stays below 2^31.
local MOST_STATES = 2 ^ 23 - 1
-- Keys times this stay below 2^51, where the bit library is defined.
local MULTIPLIER = 40503

local LOWER = ffi_new("uint8_t[256]")
for b = 0, 255 do
    LOWER[b] = b >= 0x41 and b <= 0x5A and b + 0x20 or b
end

local function slot_of(key, mask)
    local product = tobit(key * MULTIPLIER)
    return band(bxor(product, rshift(product, 15)), mask)
end

-- The state that a byte leads to from a state of the trie, or -1.
local function child(machine, state, b)
    if state == 0 then
        return machine.first[b]
    end
    local keys, mask = machine.keys, machine.mask
    local key = state * 256 + b
    local slot = slot_of(key, mask)
    while keys[slot] ~= key do
        -- No key is 0, for state 0 is not in the table. At most half of the table is full.
        if keys[slot] == 0 then
            return -1
        end
        slot = band(slot + 1, mask)
    end
    return machine.states[slot]
end

local function add_child(machine, state, b, new)
    if state == 0 then
        machine.first[b] = new
        return
    end
    local keys, mask = machine.keys, machine.mask
    local key = state * 256 + b
    local slot = slot_of(key, mask)
    while keys[slot] ~= 0 do
        slot = band(slot + 1, mask)
    end
    keys[slot], machine.states[slot] = key, new
end

-- From a state by a byte to the longest suffix of both that is a state.
local function step(machine, state, b)
    local new = child(machine, state, b)
    while new < 0 and state > 0 do
        state = machine.suffix[state]
        new = child(machine, state, b)
    end
    return new < 0 and 0 or new
end

-- Enters the phrases. Returns how many states there are besides the first one, and of each its
-- parent, the byte that leads to it, and how long it is.
local function build_trie(machine, phrases, most)
    local parents, letters = ffi_new("int32_t[?]", most), ffi_new("uint8_t[?]", most)
    local lengths, count = ffi_new("int32_t[?]", most), 0
    for number, phrase in ipairs(phrases) do
        local bytes, state = cast(bytes_of, phrase), 0
        for length = 1, #phrase do
            local b = LOWER[bytes[length - 1]]
            local new = child(machine, state, b)
            if new < 0 then
                count = count + 1
                new = count
                add_child(machine, state, b, new)
                parents[new], letters[new], lengths[new] = state, b, length
            end
            state = new
        end
        -- Of phrases that differ in case alone the first one is told.
        if machine.phrase[state] == 0 then
            machine.phrase[state] = number
        end
    end
    return count, parents, letters, lengths
end

-- The states by length, the shortest first, in memory from 0 on.
local function by_length(count, lengths, longest)
    local starts, order = ffi_new("int32_t[?]", longest + 2), ffi_new("int32_t[?]", count + 1)
    for state = 1, count do
        starts[lengths[state] + 1] = starts[lengths[state] + 1] + 1
    end
    for length = 1, longest do
        starts[length + 1] = starts[length + 1] + starts[length]
    end
    for state = 1, count do
        local place = starts[lengths[state]]
        order[place], starts[lengths[state]] = state, place + 1
    end
    return order
end

-- Leads each state to its longest suffix. Those of shorter states must be known.
local function connect(machine, order, count, parents, letters)
    for i = 0, count - 1 do
        local state = order[i]
        local parent = parents[state]
        local suffix = parent > 0 and step(machine, machine.suffix[parent], letters[state]) or 0
        machine.suffix[state] = suffix
        -- The longest phrase that ends here is the state's own, or ends its longest suffix.
        if machine.phrase[state] == 0 then
            machine.phrase[state] = machine.phrase[suffix]
        end
    end
end

local Machine = {}
Machine.__index = Machine

--- Builds the automaton.
-- @param phrases array of strings, none of them empty
function _M.new(phrases)
    local most, longest = 1, 0
    for i, phrase in ipairs(phrases) do
        if phrase == "" then
            error("phrase " .. i .. " is empty", 0)
        end
        most, longest = most + #phrase, max(longest, #phrase)
    end
    if most > MOST_STATES then
        error("more than 8 MiB of phrases", 0)
    end
    local slots = 2
    while slots < 2 * most do
        slots = slots * 2
    end
    local machine = setmetatable({
        phrases = phrases,
        first = ffi_new("int32_t[256]"),
        keys = ffi_new("uint32_t[?]", slots),
        states = ffi_new("int32_t[?]", slots),
        mask = slots - 1,
        suffix = ffi_new("int32_t[?]", most),
        phrase = ffi_new("int32_t[?]", most),
    }, Machine)
    ffi_fill(machine.first, 256 * 4, 0xFF)
    local count, parents, letters, lengths = build_trie(machine, phrases, most)
    connect(machine, by_length(count, lengths, longest), count, parents, letters)
    return machine
end

--- Finds the phrase that ends first in a value, and of those that end there the longest.
-- @param value string
-- @return string: the phrase, as it was given
-- @return nil: none is in the value
function Machine:find(value)
    local bytes, length = cast(bytes_of, value), #value
    local phrase, suffix = self.phrase, self.suffix
    local state, i = 0, 0
    -- One loop rather than one in another: LuaJIT compiles that to code twice as fast.
    while i < length do
        local new = child(self, state, LOWER[bytes[i]])
        if new >= 0 then
            if phrase[new] ~= 0 then
                return self.phrases[phrase[new]]
            end
            state, i = new, i + 1
        elseif state == 0 then
            i = i + 1
        else
            state = suffix[state]
        end
    end
    return nil
end

return _M
