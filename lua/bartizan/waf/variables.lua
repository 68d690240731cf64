--- Variables: what a rule's targets stand for in a transaction.
--
-- A transaction `t` (see bartizan.waf.collect) has `t.scalars[NAME]`, texts, and
-- `t.collections[NAME]` = {names, values, n}. What rules themselves make, TX and MATCHED_*, is in
-- the evaluation's `state` (see bartizan.waf.evaluate). Members are found without regard to case.
--
-- Targets are prepared at load by `target`, and their values are put into a list by `select`:
-- list.values[i] with list.targets[i] and list.members[i] (the member's name as it was sent, or
-- nil), from which `shown` makes a name such as ARGS:q, only where one is needed.

local operators = require("bartizan.waf.operators")
local transaction = require("bartizan.waf.state")

local find = string.find
local lower = string.lower
local pairs = pairs
local sort = table.sort
local sub = string.sub
local tostring = tostring
local tx_of = transaction.tx

local _M = {}

-- What is made of the names of another collection's members.
local NAMES_OF = {
    ARGS_NAMES = "ARGS", ARGS_GET_NAMES = "ARGS_GET", ARGS_POST_NAMES = "ARGS_POST",
    REQUEST_COOKIES_NAMES = "REQUEST_COOKIES", REQUEST_HEADERS_NAMES = "REQUEST_HEADERS",
    RESPONSE_HEADERS_NAMES = "RESPONSE_HEADERS",
}
_M.NAMES_OF = NAMES_OF

local COLLECTIONS = {
    ARGS = true, ARGS_GET = true, ARGS_POST = true, REQUEST_COOKIES = true, REQUEST_HEADERS = true,
    RESPONSE_HEADERS = true, FILES = true, FILES_NAMES = true, FILES_SIZES = true,
    FILES_TMPNAMES = true, FILES_TMP_CONTENT = true, MULTIPART_FILENAME = true,
    MULTIPART_NAME = true, MULTIPART_PART_HEADERS = true, XML = true,
}
_M.COLLECTIONS = COLLECTIONS

-- Each kind of target has a function that puts its values into a list: from(target, t, state, rule,
-- list, n) → the new n.
local from = {}

local function add(list, n, target, member, value)
    n = n + 1
    list.targets[n], list.members[n], list.values[n] = target, member, value
    return n
end

-- Whether a selector means a member. A pattern that reaches its match limit does: a rule that looks
-- at too much errs on the safe side.
local function selects(target, name)
    local pattern = target.pattern
    if pattern then
        return pattern:check(name) ~= false
    end
    return lower(name) == target.selector
end
_M.selects = selects

local function from_members(target, collection, values, list, n)
    local names, count = collection.names, collection.n
    if target.pattern then
        for i = 1, count do
            if selects(target, names[i]) then
                n = add(list, n, target, names[i], values[i])
            end
        end
    elseif target.selector then
        local selector, lowered = target.selector, collection.lower
        for i = 1, count do
            if (lowered and lowered[i] or lower(names[i])) == selector then
                n = add(list, n, target, names[i], values[i])
            end
        end
    else
        for i = 1, count do
            n = add(list, n, target, names[i], values[i])
        end
    end
    return n
end

function from.collection(target, t, _, _, list, n)
    local collection = t.collections[target.source]
    return collection and from_members(target, collection, collection.values, list, n) or n
end

function from.names(target, t, _, _, list, n)
    local collection = t.collections[target.source]
    return collection and from_members(target, collection, collection.names, list, n) or n
end

function from.scalar(target, t, _, _, list, n)
    local value = t.scalars[target.name]
    return value and add(list, n, target, nil, value) or n
end

-- In the order of the names, for a verdict must not depend on the order in a hash table.
function from.tx(target, _, state, _, list, n)
    if target.selector and not target.pattern then
        local value = tx_of(state, target.selector)
        return value and add(list, n, target, state.spelling[target.selector] or target.selector,
                             value) or n
    end
    local keys = {}
    for key in pairs(state.tx) do
        if not target.pattern or selects(target, key) then
            keys[#keys + 1] = key
        end
    end
    sort(keys)
    for i = 1, #keys do
        n = add(list, n, target, state.spelling[keys[i]] or keys[i], state.tx[keys[i]])
    end
    return n
end

function from.matched_var(target, _, state, _, list, n)
    local value = state.matched_var
    return value and add(list, n, target, nil, value) or n
end

function from.matched_var_name(target, _, state, _, list, n)
    local value = _M.matched_name(state)
    return value and add(list, n, target, nil, value) or n
end

-- What matched before this link began: the list of matches grows while one of it is looked at.
local function from_matches(target, state, list, n, names)
    local matches = state.matches
    for i = 1, matches.n do
        local name = _M.shown(matches.targets[i], matches.members[i])
        if not target.selector or selects(target, name) then
            n = add(list, n, target, name, names and name or matches.values[i])
        end
    end
    return n
end

function from.matched_vars(target, _, state, _, list, n)
    return from_matches(target, state, list, n, false)
end

function from.matched_vars_names(target, _, state, _, list, n)
    return from_matches(target, state, list, n, true)
end

function from.highest_severity(target, _, state, _, list, n)
    return add(list, n, target, nil, tostring(state.highest_severity))
end

function from.rule(target, _, _, rule, list, n)
    local value = target.selector and _M.of_rule(rule, target.selector)
    return value and add(list, n, target, target.selector, value) or n
end

local SPECIAL = {
    TX = from.tx, MATCHED_VAR = from.matched_var, MATCHED_VAR_NAME = from.matched_var_name,
    MATCHED_VARS = from.matched_vars, MATCHED_VARS_NAMES = from.matched_vars_names,
    HIGHEST_SEVERITY = from.highest_severity, RULE = from.rule,
}

--- Says a thing about the rule that runs: the manual's RULE.
function _M.of_rule(rule, key)
    if key == "id" then
        return tostring(rule.id)
    elseif key == "severity" then
        return rule.severity and tostring(rule.severity)
    elseif key == "msg" then
        return rule.plain_msg
    end
    return nil
end

local function source_of(target)
    local name = target.name
    if SPECIAL[name] then
        target.from = SPECIAL[name]
    elseif NAMES_OF[name] then
        target.from, target.source = from.names, NAMES_OF[name]
    elseif COLLECTIONS[name] then
        target.from, target.source = from.collection, name
    else
        target.from = from.scalar
    end
    -- Whether its values are those that the gate is asked of.
    target.is_gated = not target.count and not SPECIAL[name]
    return target
end

--- Prepares a target, at load.
-- @param name string: upper case
-- @param selector string|nil
-- @param regex boolean: whether the selector is a regular expression
-- @param count boolean: `&`
-- @return table; raises a sentence where the expression is wrong
function _M.target(name, selector, regex, count)
    local target = source_of({
        name = name, selector = selector and lower(selector), spelled = selector, count = count,
    })
    if selector and regex then
        -- Caseless, as ModSecurity compiles them.
        local op = operators.new({ name = "rx", argument = { "(?i)" .. selector } })
        target.pattern = {
            check = function(_, text)
                return (op.check(op, text))
            end,
        }
    end
    return target
end

--- The name of a value, as MATCHED_VAR_NAME has it.
function _M.shown(target, member)
    return member and target.name .. ":" .. member or target.name
end

--- MATCHED_VAR_NAME, or nil.
function _M.matched_name(state)
    local target = state.matched_target
    return target and _M.shown(target, state.matched_member)
end

-- Whether one of the exclusions means this value.
local function excluded(target, member, exclusions)
    for i = 1, #exclusions do
        local exclusion = exclusions[i]
        if exclusion.name == target.name
            and (not exclusion.selector or member and selects(exclusion, member)) then
            return true
        end
    end
    return false
end

--- Puts the values of targets into a list.
-- @param targets array: of `target`
-- @param exclusions array|nil: of `target`: what is left out
-- @param more array|nil: what ctl has left out
-- @param list table: {values, targets, members}
-- @return number: how many there are
function _M.select(targets, exclusions, more, t, state, rule, list)
    local n = 0
    for i = 1, #targets do
        local target = targets[i]
        local before = n
        n = target.from(target, t, state, rule, list, n)
        if target.count then
            -- Of all there are: what is excluded is not looked at, but counts.
            n = add(list, before, target, target.spelled, tostring(n - before))
        end
        if (exclusions or more) and n > before then
            local members, values = list.members, list.values
            local kept = before
            for j = before + 1, n do
                local member = members[j]
                if not (exclusions and excluded(target, member, exclusions)
                        or more and excluded(target, member, more)) then
                    kept = kept + 1
                    members[kept], values[kept] = member, values[j]
                end
            end
            n = kept
        end
    end
    return n
end

--- Prepares what a macro reads, at load.
-- @param name string: upper case
-- @param key string|nil
function _M.reader(name, key)
    local text = key and tostring(key)
    local regex = text and #text > 1 and sub(text, 1, 1) == "/" and find(text, "/$")
    return _M.target(name, regex and sub(text, 2, -2) or text, regex and true or false, false)
end

local one = { values = {}, targets = {}, members = {} }

--- The first value of what a macro reads, or nil.
function _M.first(reader, t, state, rule)
    if reader.from == from.scalar then
        return t.scalars[reader.name]
    end
    return reader.from(reader, t, state, rule, one, 0) > 0 and one.values[1] or nil
end

return _M
