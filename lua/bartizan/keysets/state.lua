--- What all workers know of an issuer: its part of the shared memory.
--
-- Names: set (its text), etag, generation (of the set), confirmed (when the issuer last said so),
-- due (when to fetch), failures and error (since then), asked (when a request brought a fetch
-- forward). Times are microseconds of the monotonic clock, and nothing here has a lifetime of the
-- dict's own: that follows the wall clock, which someone may set.

local ffi = require("ffi")
local mutex = require("bartizan.mutex")

local error = error
local ffi_cast = ffi.cast
local ipairs = ipairs
local setmetatable = setmetatable

local _M = {}
local State = {}
State.__index = State

-- An unknown kid may bring one fetch forward a minute, whoever sends how many.
local ASK_INTERVAL = 60000000

-- The address of the lock of whoever fetches is in the dict, so that a reload (the same master, and
-- a dict of the same size) finds it again.
local TURN = "turn"

--- The value of a name, nil where there is none.
function State:get(name)
    return (self.dict:get(self.prefix .. name))
end

--- Sets a name, or with nil takes it away. Nothing else is evicted for it.
-- Raises where the memory is full.
function State:put(name, value)
    local ok, err = self.dict:safe_set(self.prefix .. name, value)
    if not ok then
        error("the store of key sets: " .. err, 0)
    end
end

--- Sets a name that nothing depends on, or takes it away; where the memory is full it is not set.
function State:note(name, value)
    local dict, key = self.dict, self.prefix .. name
    if not dict:safe_set(key, value) then
        dict:delete(key)
    end
end

--- Publishes a set under the next generation number.
-- Set first, number second: who reads in the other order has a set at least as new as its number.
-- Raises where the memory is full; the set before it stays then.
-- @return number
function State:publish(set)
    local dict, key = self.dict, self.prefix .. "set"
    local before = dict:get(key)
    local ok, err = dict:safe_set(key, set)
    if not ok then
        -- The dict lets go of a value before it looks for room for another.
        if before then
            dict:safe_set(key, before)
        end
        error("the store of key sets: " .. err, 0)
    end
    local generation = (self:get("generation") or 0) + 1
    self:put("generation", generation)
    return generation
end

--- Tries to become the one that fetches. Who dies on it is none any more.
-- @return boolean
function State:take_turn()
    return mutex.try(self.turn)
end

function State:end_turn()
    mutex.unlock(self.turn)
end

-- Sets `asked` to a time, once a minute: of several that come at once, the one whose step leads to
-- its own time is the first.
local function note_asked(dict, key, time)
    local last = dict:get(key)
    if not last then
        return dict:safe_add(key, time)
    elseif time - last < ASK_INTERVAL then
        return false
    elseif dict:incr(key, time - last) == time then
        return true
    end
    dict:incr(key, last - time)
    return false
end

--- Brings the next fetch forward to a time, at most once a minute. Never raises: it is called in
-- requests, whose outcome does not depend on it.
function State:ask(time)
    if note_asked(self.dict, self.prefix .. "asked", time) then
        self.dict:safe_set(self.prefix .. "due", time)
    end
end

--- The state of one issuer. Runs in the master.
-- @param dict table: a shared dict
-- @param prefix string: the issuer's own
function _M.new(dict, prefix)
    local state = setmetatable({ dict = dict, prefix = prefix }, State)
    local address = state:get(TURN)
    if not address then
        address = mutex.map(mutex.SIZE)
        mutex.init(ffi_cast("void *", address))
        state:put(TURN, address)
    end
    state.turn = ffi_cast("void *", address)
    -- They have their places from the start, so that a memory that is full keeps nobody from
    -- writing when to try again.
    for _, name in ipairs({ "due", "failures" }) do
        if not state:get(name) then
            state:put(name, 0)
        end
    end
    return state
end

return _M
