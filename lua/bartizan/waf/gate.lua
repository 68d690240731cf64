--- The gate: which rules might match, asked of values and not of rules.
--
-- A value is known (memo), or it is transformed in all the ways that rules of its kind want, and
-- each form that comes out different is scanned for all their patterns at once. Strings are
-- interned in Lua, so what two chains make the same of is one string. Most values match nothing and
-- are done. The answer may name a rule that does not match, but never leaves out one that does.
-- Long values are scanned whole: a scan takes time in proportion to the length.

local bit = require("bit")
local budget = require("bartizan.waf.budget")
local classes = require("bartizan.waf.classes")

local band = bit.band
local begin_budget = budget.begin
local is_running = budget.is_running
local LONGEST = require("bartizan.waf.memo").LONGEST
local lower = string.lower
local SPECIAL = classes.SPECIAL
local of = classes.of

local _M = {}

-- The value under way, by form; what is behind the kind's own forms is of values before it.
local texts, masks = {}, {}
local distinct, distinct_masks = {}, {}
local ids = {}
local round, seen = 0, {}

local NONE = {}

-- Makes the forms of a value.
local function transform(kind, value)
    local mask = of(value)
    local forms = kind.forms
    local is_same = band(mask, kind.changes) == 0
    texts[1], masks[1] = value, mask
    for i = 2, #forms do
        local text, text_mask = value, mask
        if not is_same then
            local form = forms[i]
            text, text_mask = texts[form.from], masks[form.from]
            if band(text_mask, form.changes) ~= 0 then
                local changed = form.apply(text)
                if changed ~= text then
                    text, text_mask = changed, of(changed)
                end
            end
        end
        texts[i], masks[i] = text, text_mask
    end
end

-- Lists which different texts the forms of some chains are, and returns how many.
local function different(ends)
    local count = 0
    for i = 1, #ends do
        local text = texts[ends[i]]
        local is_new = true
        for j = 1, count do
            if distinct[j] == text then
                is_new = false
                break
            end
        end
        if is_new then
            count = count + 1
            distinct[count], distinct_masks[count] = text, masks[ends[i]]
        end
    end
    return count
end

-- Adds a rule to the answer under way.
local function add(answer, rule)
    if seen[rule] == round then
        return answer
    end
    seen[rule] = round
    answer = answer or {}
    answer[#answer + 1] = rule
    return answer
end

-- Scans the forms of some chains for the patterns of those.
local function scanned(gate, kind, part, answer)
    local form_of, accepts = kind.form_of, kind.accepts
    local rule_of, chain_of = gate.rule_of, gate.chain_of
    for i = 1, different(part.ends) do
        local text = distinct[i]
        local is_plain = band(distinct_masks[i], SPECIAL) == 0
        local database = is_plain and part.plain or not is_plain and part.database
        local is_hit, failed = false, nil
        if database then
            is_hit, failed = database:any(text)
        end
        if is_hit then
            local hits, err = database:ids(text, ids)
            if not hits then
                return nil, err
            end
            for j = 1, hits do
                local id = ids[j]
                -- A pattern counts where its rule looks at this kind, and where the form is that of
                -- its own chain.
                local form = form_of[chain_of[id]]
                if (not accepts or accepts[id]) and form and texts[form] == text then
                    answer = add(answer, rule_of[id])
                end
            end
        elseif is_hit == nil then
            return nil, failed
        end
    end
    return answer
end

-- Asks of a value that is not known. Returns false or a list of rules; nil and a sentence where the
-- scan failed.
local function ask(gate, kind, value)
    if not is_running() then
        begin_budget()
    end
    round = round + 1
    transform(kind, value)
    local answer = false
    local parts = kind.parts
    for i = 1, #parts do
        local err
        answer, err = scanned(gate, kind, parts[i], answer)
        if answer == nil then
            return nil, err
        end
    end
    local always = kind.always
    for i = 1, #always do
        answer = add(answer, always[i])
    end
    local direct = kind.direct
    for i = 1, #direct do
        local probe = direct[i]
        local op = probe.op
        if not op then
            answer = add(answer, probe.rule)
        else
            -- No answer (a match limit) makes a candidate, of which the rule itself says so.
            local matches = op:check(texts[probe.form])
            if matches == nil or matches ~= probe.is_negated then
                answer = add(answer, probe.rule)
            end
        end
    end
    if #value > LONGEST then
        -- Or the forms of a long body would live until the next long value comes.
        for i = 1, #kind.forms do
            texts[i], distinct[i] = nil, nil
        end
    else
        kind.memo:set(value, answer)
    end
    return answer
end

--- Says which rules might match because of one value.
-- @param gate table: {rule_of, chain_of}
-- @param kind table: of bartizan.waf.kinds
-- @param value string
-- @return false, or an array of rules' indices, which is the memo's own
-- @return nil, string: the scan failed
local function candidates(gate, kind, value)
    local answer = kind.memo:get(value)
    if answer == nil then
        return ask(gate, kind, value)
    end
    return answer
end
_M.candidates = candidates

-- Both answers; a value may stand in variables of different kinds. Neither list is ours to change.
local function union(one, other)
    local both = {}
    for i = 1, #one do
        both[i] = one[i]
    end
    for i = 1, #other do
        both[#both + 1] = other[i]
    end
    return both
end

local function take(found, n, answer, value)
    local of_values = found.of_values
    local before = of_values[value]
    if before ~= answer then
        of_values[value] = before and union(before, answer) or answer
    end
    for i = 1, #answer do
        n = n + 1
        found[n] = answer[i]
    end
    return n
end

local function members(gate, source, collection, first, found, n)
    local names, lowered = collection.names, collection.lower
    local values = source.is_names and names or collection.values
    local generic, named = source.generic, source.named
    for i = first, collection.n do
        local kind = generic
        if named then
            kind = named[lowered and lowered[i] or lower(names[i])] or generic
        end
        if kind then
            local answer, err = candidates(gate, kind, values[i])
            if answer then
                n = take(found, n, answer, values[i])
            elseif answer == nil then
                return nil, err
            end
        end
    end
    return n
end

--- Lists the rules that might match because of a transaction's values.
-- @param gate table: {sources, rule_of, chain_of}
-- @param t table: the transaction
-- @param found table: gets the rules' indices from [1] on; some more than once. And `of_values`,
--   which is added to: by value, the rules that might match it
-- @param already number|nil: how many members of ARGS were asked of before, in an earlier phase,
--   with all that was there then; nil if nothing was
-- @return number: how many are in `found`
-- @return nil, string: a scan failed
function _M.scan(gate, t, found, already)
    local sources, n = gate.sources, 0
    local scalars, collections = t.scalars, t.collections
    for i = 1, #sources do
        local source = sources[i]
        local is_new = not already or source.is_late
        if is_new and source.is_scalar then
            local value = scalars[source.name]
            if value and source.generic then
                local answer, err = candidates(gate, source.generic, value)
                if answer then
                    n = take(found, n, answer, value)
                elseif answer == nil then
                    return nil, err
                end
            end
        elseif is_new then
            local collection = collections[source.name]
            if collection then
                local first = already and source.name == "ARGS" and already + 1 or 1
                local count, err = members(gate, source, collection, first, found, n)
                if not count then
                    return nil, err
                end
                n = count
            end
        end
    end
    return n
end

--- Prepares the gate, at load.
-- @param plan table: as bartizan.json reads it
-- @param sources array: of bartizan.waf.kinds
function _M.new(plan, sources)
    local rule_of, chain_of = {}, {}
    for id, pattern in ipairs(plan.gate.patterns) do
        rule_of[id], chain_of[id] = pattern.rule + 1, pattern.chain
    end
    return { sources = sources or NONE, rule_of = rule_of, chain_of = chain_of }
end

return _M
