--- What rules have made of a transaction so far: TX, what matched, and what ctl has changed.
--
-- The first write to TX copies the plan's constants, so a request that no rule matches copies none.

local find = string.find
local lower = string.lower
local pairs = pairs
local tonumber = tonumber

local _M = {}

--- Makes a state.
-- @param constants table: TX, by name in lower case, as the set-up rules left it
function _M.new(constants)
    return {
        tx = constants,
        is_shared = true,           -- whether `tx` is still the plan's own table
        is_changed = false,         -- whether any rule has had an effect
        is_kept = false,            -- whether a quiet one has: see bartizan.waf.plan
        spelling = {},              -- names of TX as they were written, where they have upper case
        captures = {},              -- TX:0 to TX:9
        has_captures = false,
        matches = { n = 0, values = {}, targets = {}, members = {} },       -- MATCHED_VARS
        matched_var = nil,
        matched_target = nil,
        matched_member = nil,
        highest_severity = 255,
        score = 0,                  -- what anomaly scores have grown by
        removed = nil,              -- ctl:ruleRemove…: sets of rules
        left_out = nil,             -- ctl:ruleRemoveTarget…: {rules, target}
        candidates_of = nil,        -- which rules a value may match; nil where no gate was asked
        engine = "On",              -- ctl:ruleEngine
        is_finished = false,        -- no more rules for this request
        processor = nil,            -- ctl:requestBodyProcessor
        force_body = nil,           -- ctl:forceRequestBodyVariable
        body_access = nil,          -- ctl:requestBodyAccess
    }
end

--- Forgets what quiet rules have done, for another request to use it. Nothing else has been.
function _M.reset(state)
    state.is_kept, state.removed, state.left_out, state.force_body = false, nil, nil, nil
    state.candidates_of = nil
end

--- Forgets what one rule leaves to its own links only.
function _M.begin_rule(state)
    if state.has_captures then
        local captures = state.captures
        for i = 0, 9 do
            captures[i] = nil
        end
        state.has_captures = false
    end
    if state.matched_var then
        state.matched_var, state.matched_target, state.matched_member = nil, nil, nil
        state.matches.n = 0
    end
end

local function digit(key)
    return #key == 1 and find(key, "%d") and tonumber(key) or nil
end

--- A member of TX, or nil.
-- @param key string: lower case
function _M.tx(state, key)
    local number = digit(key)
    if number and state.captures[number] then
        return state.captures[number]
    end
    return state.tx[key]
end

--- Sets a member of TX, or takes it away.
-- @param name string: in any case
-- @param value string|nil
function _M.set_tx(state, name, value)
    if state.is_shared then
        local tx = {}
        for key, constant in pairs(state.tx) do
            tx[key] = constant
        end
        state.tx, state.is_shared = tx, false
    end
    local key = lower(name)
    local number = digit(key)
    if number then
        state.captures[number], state.has_captures = nil, true
    end
    state.tx[key] = value
    if key ~= name then
        state.spelling[key] = name
    end
    state.is_changed = true
end

return _M
