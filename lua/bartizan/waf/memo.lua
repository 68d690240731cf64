--- What is known of values: which rules might match, or what may be shown of them, by the value
-- itself. Bounded in number and bytes, and what was not asked for longest is forgotten first.
--
--     memo = memo.new(2048, 262144)       entries and bytes of each of the two generations
--     memo:get(value)                     false (no rule), a list of rules, a text; nil: not known
--     memo:set(value, answer)
--
-- What is new or used is in the young generation. When that is full it becomes the old one, and the
-- old one before it is forgotten: so as many as fit into one are known for sure, and twice as many
-- at most. Nothing is allocated before the first value comes, as most kinds of values never do.

local new_table = require("table.new")

local setmetatable = setmetatable
local type = type

local _M = {
    --- Longer values are not to be remembered: they seldom come twice, and put out many short ones.
    LONGEST = 1024,
    --- What an entry takes beside the value's own bytes: the string's head, its place in the table.
    OVERHEAD = 64,
    --- And for each rule in its answer; a text takes its bytes.
    EACH = 16,
}

local EACH = _M.EACH
local OVERHEAD = _M.OVERHEAD

local Memo = {}
Memo.__index = Memo

local NONE = {}

function Memo:set(value, answer)
    local cost = #value + OVERHEAD
    if answer then
        cost = cost + #answer * (type(answer) == "string" and 1 or EACH)
    end
    local count, bytes = self.count + 1, self.bytes + cost
    if count > self.entries or bytes > self.most then
        self.old, self.young = self.young, new_table(0, self.entries)
        count, bytes = 1, cost
    end
    self.young[value] = answer
    self.count, self.bytes = count, bytes
end

function Memo:get(value)
    local answer = self.young[value]
    if answer == nil then
        answer = self.old[value]
        if answer ~= nil then
            self:set(value, answer)
        end
    end
    return answer
end

--- Makes an empty memo.
-- @param entries number: of a generation
-- @param most number: bytes of a generation, the overhead included
function _M.new(entries, most)
    -- The first generation has nothing and no room, so that the first value makes one that has.
    return setmetatable({
        entries = entries, most = most, young = NONE, old = NONE, count = entries, bytes = 0,
    }, Memo)
end

return _M
