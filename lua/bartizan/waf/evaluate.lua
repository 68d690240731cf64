--- Evaluates rules with all that SecLang means by them.
--
-- A rule is a chain of links. A link holds if its operator matches at least one of the values that
-- its targets stand for; all of them are looked at, and each match sets MATCHED_VAR and captures
-- and executes the link's setvars. A rule matches if all links hold; then its ctls are executed,
-- from the last link to the first, and at last what is disruptive (libmodsecurity 3.0.9 does it in
-- this order; the manual leaves it open).

local actions = require("bartizan.waf.actions")
local classes = require("bartizan.waf.classes")
local macros = require("bartizan.waf.macros")
local transaction = require("bartizan.waf.state")
local transformations = require("bartizan.waf.transformations")
local variables = require("bartizan.waf.variables")

local begin_rule = transaction.begin_rule
local expand = macros.expand
local find = string.find
local of = classes.of
local run = transformations.run
local select_values = variables.select
local set_variables = actions.set
local shown = variables.shown
local steps = transformations.steps
local sub = string.sub

local _M = {
    --- So many bytes of a matched part, and of message and log data, are kept for the report.
    PART = 1024,
}

local PART = _M.PART

-- Targets that show what rules have made and not what a client has sent.
local MADE = {
    TX = true, MATCHED_VAR = true, MATCHED_VARS = true, MATCHED_VAR_NAME = true,
    MATCHED_VARS_NAMES = true, RULE = true, HIGHEST_SEVERITY = true,
}

-- The values of the link under way. Links run one after another, and nothing here yields.
local list = { values = {}, targets = {}, members = {} }

-- What the report shows of the rule under way: the last match on something that was sent.
local seen = { target = nil, member = nil, whole = nil, part = nil }

-- What ctl:ruleRemoveTarget… has left out of a rule, or nil.
local function left_out(rule, state)
    local entries, targets = state.left_out, nil
    for i = 1, #entries do
        if entries[i].rules[rule.index] then
            targets = targets or {}
            targets[#targets + 1] = entries[i].target
        end
    end
    return targets
end

local function is_removed(rule, state)
    local removed = state.removed
    for i = 1, #removed do
        if removed[i][rule.index] then
            return true
        end
    end
    return false
end

local function matched(link, rule, t, state, target, member, value, part)
    local matches = state.matches
    local n = matches.n + 1
    matches.n = n
    matches.values[n], matches.targets[n], matches.members[n] = value, target, member
    state.matched_var, state.matched_target, state.matched_member = value, target, member
    if not seen.target or not MADE[target.name] then
        seen.target, seen.member, seen.whole, seen.part = target, member, value, part
    end
    if link.setvars then
        set_variables(link.setvars, t, state, rule)
    end
end

-- No answer from an operator is a finding of its own: the rule could not be evaluated.
local function unanswered(rule, state, target, member, value, err)
    if not state.failure then
        state.failure = {
            err = err, variable = shown(target, member), whole = value, rule = rule,
        }
    end
end

-- Asks the operator of one form of one value.
local function try(link, rule, t, state, argument, i, text)
    local captures = nil
    if link.captures and not link.is_negated then
        captures = state.captures
        state.has_captures = true
    end
    local op = link.op
    local matches, part = op:check(text, argument, captures)
    if matches == nil then
        unanswered(rule, state, list.targets[i], list.members[i], text, part)
        return false
    elseif matches == link.is_negated then
        return false
    end
    matched(link, rule, t, state, list.targets[i], list.members[i], text, part)
    return true
end

-- Whether the gate has named a rule for a value.
local function may_match(rules, index)
    if rules then
        for i = 1, #rules do
            if rules[i] == index then
                return true
            end
        end
    end
    return false
end

-- Takes out what the gate says this rule cannot match: of a form with many fields one wakes it. Of
-- chains it does not say so: what wakes one may stand for all links together.
local function keep_candidates(candidates_of, index, n)
    local values, targets, members = list.values, list.targets, list.members
    local kept = 0
    for i = 1, n do
        local value, target = values[i], targets[i]
        if not target.is_gated or may_match(candidates_of[value], index) then
            kept = kept + 1
            values[kept], targets[kept], members[kept] = value, target, members[i]
        end
    end
    return kept
end

local function holds(link, rule, t, state)
    if not link.op then
        if link.setvars then
            set_variables(link.setvars, t, state, rule)
        end
        return true
    end
    local more = state.left_out and left_out(rule, state)
    local n = select_values(link.targets, link.exclusions, more, t, state, rule, list)
    if rule.is_single and state.candidates_of then
        n = keep_candidates(state.candidates_of, rule.index, n)
    end
    if n == 0 then
        return false
    end
    local argument = link.argument and expand(link.argument, t, state, rule)
    local chain, values = link.chain, list.values
    local does_hold = false
    for i = 1, n do
        local value = values[i]
        if chain.n == 0 then
            does_hold = try(link, rule, t, state, argument, i, value) or does_hold
        elseif link.is_multi then
            local forms = steps(chain, value, of(value))
            for j = 1, #forms do
                does_hold = try(link, rule, t, state, argument, i, forms[j]) or does_hold
            end
        else
            value = run(chain, value, of(value))
            does_hold = try(link, rule, t, state, argument, i, value) or does_hold
        end
    end
    return does_hold
end

--- Evaluates a rule.
-- @param rule table: of bartizan.waf.plan
-- @param t table: the transaction
-- @param state table: of bartizan.waf.state
-- @return boolean: whether it matches; then its setvars and ctls have been executed
function _M.matches(rule, t, state)
    if state.removed and is_removed(rule, state) then
        return false
    end
    begin_rule(state)
    -- All of it: a rule that looks at nothing (SecAction) must not show what another request sent.
    seen.target, seen.member, seen.whole, seen.part = nil, nil, nil, nil
    local links = rule.links
    for i = 1, #links do
        if not holds(links[i], rule, t, state) then
            return false
        end
    end
    if rule.is_quiet then
        state.is_kept = true
    else
        state.is_changed = true
    end
    for i = #links, 1, -1 do
        local ctls = links[i].ctls
        if ctls then
            for j = 1, #ctls do
                ctls[j](state, t)
            end
        end
    end
    if rule.severity and rule.severity < state.highest_severity then
        state.highest_severity = rule.severity
    end
    return true
end

local function cut(text)
    return #text > PART and sub(text, 1, PART) or text
end

--- Describes the match of the rule that was evaluated last.
-- @param score number: what anomaly scores grew by
-- @return table: as outcome.matches has them
function _M.describe(rule, t, state, score)
    local target, whole, part = seen.target, seen.whole, seen.part
    -- Some operators give what is no part of the value: libinjection a fingerprint.
    if whole and (not part or not find(whole, part, 1, true)) then
        part = whole
    end
    return {
        rule = rule.id,
        id = rule.id,
        msg = rule.msg and cut(expand(rule.msg, t, state, rule)) or "",
        data = rule.logdata and cut(expand(rule.logdata, t, state, rule)) or nil,
        tags = rule.tags,
        severity = rule.severity,
        paranoia = rule.paranoia,
        variable = target and shown(target, seen.member) or nil,
        value = part and cut(part) or nil,
        whole = whole,
        score = score,
    }
end

--- Describes that a rule could not be evaluated.
function _M.describe_failure(failure)
    local rule = failure.rule
    return {
        rule = rule.id,
        id = rule.id,
        msg = "The rule could not be evaluated: " .. failure.err,
        tags = rule.tags,
        severity = rule.severity,
        paranoia = rule.paranoia,
        variable = failure.variable,
        value = cut(failure.whole),
        whole = failure.whole,
        score = 0,
        error = true,
    }
end

return _M
