--- What all workers know of an issuer: its part of the shared memory.
--
-- Names: set (its text), etag, generation (of the set), confirmed (when the issuer last said so),
-- due (when to fetch), failures and error (since then). Times are microseconds of the monotonic
-- clock. The lifetimes of `lock` and `asked` are nginx's own and follow the wall clock: if someone
-- sets that back, a fetch can come later by as much.

local error = error
local setmetatable = setmetatable

local _M = {}
local State = {}
State.__index = State

-- Seconds. An unknown kid may bring one fetch forward a minute, whoever sends how many.
local ASK_INTERVAL = 60

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

--- Publishes a set under the next generation number.
-- Set first, number second: who reads in the other order has a set at least as new as its number.
-- @return number
function State:publish(set)
    self:put("set", set)
    local generation = (self:get("generation") or 0) + 1
    self:put("generation", generation)
    return generation
end

--- Tries to become the one that fetches.
-- @param seconds number: the lock ends by itself then, should its holder die
-- @return boolean
function State:lock(seconds)
    return self.dict:safe_add(self.prefix .. "lock", true, seconds) == true
end

function State:unlock()
    self.dict:delete(self.prefix .. "lock")
end

--- Brings the next fetch forward to a time, at most once a minute. Never raises: it is called in
-- requests, whose outcome does not depend on it.
function State:ask(time)
    if self.dict:safe_add(self.prefix .. "asked", true, ASK_INTERVAL) then
        self.dict:safe_set(self.prefix .. "due", time)
    end
end

--- The state of one issuer.
-- @param dict table: a shared dict
-- @param prefix string: the issuer's own
function _M.new(dict, prefix)
    return setmetatable({ dict = dict, prefix = prefix }, State)
end

return _M
