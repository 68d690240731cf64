--- Goes through the rules of a phase in their order.
--
-- As long as no rule has had an effect, only those are evaluated that may match: the candidates of
-- the gate, and rules that ask of the whole request. From the first effect on, also those that
-- depend on effects ("state"). skipAfter and what is disruptive change where it goes on.

local budget = require("bartizan.waf.budget")
local evaluate = require("bartizan.waf.evaluate")

local begin_budget = budget.begin
local describe = evaluate.describe
local describe_failure = evaluate.describe_failure
local format = string.format
local is_running = budget.is_running
local matches_rule = evaluate.matches

local _M = {}

-- What a disruptive action answers with, where the rule gives no status.
local DENIED, REDIRECTED = 403, 302

-- So many candidates are put in order one by one.
local FEW = 24

local function disrupt(rule, state, outcome, enforcing)
    local action = rule.disruptive
    if action == "pass" or state.engine == "DetectionOnly" then
        return false
    elseif action == "allow" or action == "allow:request" or action == "allow:phase" then
        -- The manual, SecRuleEngine: DetectionOnly never executes any disruptive action, allow
        -- among them.
        if enforcing and action ~= "allow:phase" then
            state.is_finished = true
        end
        return enforcing
    end
    if not outcome.disruptive then
        outcome.disruptive = {
            rule = rule.id, action = action, argument = rule.argument,
            status = rule.status or (action == "redirect" and REDIRECTED or DENIED),
        }
    end
    return enforcing
end

-- Evaluates one rule. Returns whether the phase ends, and whether the rule matched.
local function evaluate_rule(rule, t, state, outcome, enforcing)
    if not is_running() then
        begin_budget()
    end
    local score = state.score
    local did_match = matches_rule(rule, t, state)
    if state.failure then
        outcome.matches[#outcome.matches + 1] = describe_failure(state.failure)
        outcome.error = outcome.error
            or format("rule %d: %s", rule.id, state.failure.err)
        state.failure, state.is_changed = nil, true
    end
    if not did_match then
        return false, false
    end
    if rule.log then
        outcome.matches[#outcome.matches + 1] = describe(rule, t, state, state.score - score)
    end
    return disrupt(rule, state, outcome, enforcing) or state.is_finished, true
end

-- Where reading goes on: behind a marker, or at the end of the phase where there is no such marker
-- from here on.
local function behind(phase, marker, position)
    local target = phase.markers[marker]
    return target and target > position and target or #phase.order + 1
end

-- Evaluates from a position on, in order.
local function from(engine, phase, t, state, outcome, enforcing, position, has_marks)
    local order, marks, round = phase.order, engine.marks, engine.round
    local is_gateless = engine.is_gateless
    local last = #order
    while position <= last do
        local rule = order[position]
        local kind = rule.gate
        position = position + 1
        if is_gateless or has_marks and marks[rule.index] == round or kind == "request"
            or kind == "always" or kind == "state" and state.is_changed then
            local ends, did_match = evaluate_rule(rule, t, state, outcome, enforcing)
            if ends then
                return
            elseif did_match and rule.skip_after then
                position = behind(phase, rule.skip_after, position - 1)
            end
        end
    end
end

-- Positions of the phase under way, in order.
local places = {}

-- Where rules are that may match: candidates, and those that ask of the whole request. Returns how
-- many, or nil if there are so many that it is no less work to look at all.
local function place(engine, phase, candidates)
    if #candidates > FEW then
        return nil
    end
    local requests = phase.requests
    local n = #requests
    for i = 1, n do
        places[i] = requests[i]
    end
    local rules = engine.rules
    for i = 1, #candidates do
        local rule = rules[candidates[i]]
        if rule.phase == phase.number then
            local position, at = rule.position, n
            while at > 0 and places[at] > position do
                at = at - 1
            end
            -- One that several values have made a candidate is there already.
            if at == 0 or places[at] ~= position then
                for j = n, at + 1, -1 do
                    places[j + 1] = places[j]
                end
                places[at + 1], n = position, n + 1
            end
        end
    end
    return n
end

-- Evaluates the rules that may match, as long as none has an effect; from there on `from` does.
local function probe(engine, phase, t, state, outcome, enforcing, n, has_marks)
    local order = phase.order
    for i = 1, n do
        local position = places[i]
        local rule = order[position]
        local ends, did_match = evaluate_rule(rule, t, state, outcome, enforcing)
        if state.is_changed then
            if not ends then
                position = position + 1
                if did_match and rule.skip_after then
                    position = behind(phase, rule.skip_after, position - 1)
                end
                from(engine, phase, t, state, outcome, enforcing, position, has_marks)
            end
            return
        end
    end
end

--- Evaluates the rules of a phase.
-- @param engine table: {rules, marks, round, is_gateless}
-- @param phase table: of bartizan.waf.plan
-- @param outcome table: gets matches, disruptive and error
-- @param candidates array: the rules' indices, of any phase; engine.marks has them, too
function _M.run(engine, phase, t, state, outcome, enforcing, candidates)
    local n = not engine.is_gateless and not state.is_changed
        and place(engine, phase, candidates)
    local has_marks = #candidates > 0
    if n then
        probe(engine, phase, t, state, outcome, enforcing, n, has_marks)
    else
        from(engine, phase, t, state, outcome, enforcing, 1, has_marks)
    end
end

return _M
