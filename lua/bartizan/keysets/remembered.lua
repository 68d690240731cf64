--- What was verified with an issuer's keys, by the header value that it came in: bounded in number
-- and bytes, and what was not used for longest is forgotten first.
--
--     remembered = remembered.new()
--     remembered:set(authorization, facts)
--     remembered:get(authorization)              the facts, or nil
--     remembered:forget()                        everything
--
-- There are two generations. What is new or used is in the young one. When that is full it becomes
-- the old one, and the old one before it is forgotten: so as many as fit into one are known for
-- sure, and twice as many at most. A list in the order of use (resty.lrucache) would be more exact,
-- but it bounds no bytes, and Lua's tables are rebuilt time and again where names come and go one
-- by one: at every new token (600,000 instructions) when 4,096 were remembered.

local new_table = require("table.new")

local setmetatable = setmetatable

local _M = {}
local Remembered = {}
Remembered.__index = Remembered

-- Of each generation. The bytes are those of the header values: one of 650 bytes takes 1,600 with
-- the facts of it. At worst (arrays in arrays) facts take 25 times the bytes of their token, but
-- only the issuer's signature gets a token in here.
local BOUND = 2048
local BYTES_BOUND = 1048576

function Remembered:forget()
    self.young, self.old = new_table(0, BOUND), {}
    self.count, self.bytes = 0, 0
end

function Remembered:set(authorization, facts)
    local count, bytes = self.count + 1, self.bytes + #authorization
    if count > BOUND or bytes > BYTES_BOUND then
        self.old, self.young = self.young, new_table(0, BOUND)
        count, bytes = 1, #authorization
    end
    self.young[authorization] = facts
    self.count, self.bytes = count, bytes
end

function Remembered:get(authorization)
    local facts = self.young[authorization]
    if not facts then
        facts = self.old[authorization]
        if facts then
            self:set(authorization, facts)
        end
    end
    return facts
end

function _M.new()
    local remembered = setmetatable({}, Remembered)
    remembered:forget()
    return remembered
end

return _M
