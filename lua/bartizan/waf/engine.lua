--- The rule engine: which rules a request matches, and what is to become of it.
--
--     local engine = engine.new(plan, read_file)                 -- at load; raises a sentence
--     local t = collect.head(source)
--     local outcome = engine.run(engine, t, 1, enforcing)
--     collect.body(t, body, limits)
--     outcome = engine.run(engine, t, 2, enforcing)
--
-- Rules are not run: values are asked about (bartizan.waf.gate). Only rules that might match
-- because of some value, those that ask of the whole request (how many, how long), and, once any
-- rule has had an effect, those that depend on such effects, are evaluated (bartizan.waf.evaluate),
-- in their order. All state of a request is in `t.waf`, so a request may wait between its phases.
--
-- An outcome is shared between requests and is only read:
--     matches         array, of this phase: {rule, id, msg, data, tags, severity, paranoia,
--                     variable, value, whole, score, error}; a rule that says nolog is not in it;
--                     `error` is true where a rule had no answer (a match limit)
--     disruptive      nil, or {rule, action, status, argument}: the first rule that would end the
--                     request, or with `enforcing` the one that does
--     finished        true where no more rules are for this request: it was allowed, or its rules
--                     were turned off
--     detection_only  true where a rule has asked that nothing be disruptive
--     processor, force_body, body_access     what ctl says of the body, or nil
--     score           how much the rules have added to anomaly scores, in all phases
--     tx              TX after the phase
--     error           nil, or a sentence: something could not be judged

local budget = require("bartizan.waf.budget")
local gate = require("bartizan.waf.gate")
local hyperscan = require("bartizan.waf.hyperscan")
local kinds = require("bartizan.waf.kinds")
local pcre2 = require("bartizan.waf.pcre2")
local plan_reader = require("bartizan.waf.plan")
local transaction = require("bartizan.waf.state")
local walker = require("bartizan.waf.walk")

local begin_budget = budget.begin
local error = error
local finish_budget = budget.finish
local format = string.format
local ipairs = ipairs
local new_state = transaction.new
local reset = transaction.reset
local scan = gate.scan
local type = type
local walk = walker.run

local _M = {}

local function load_databases(plan, read_file)
    local databases = {}
    for i, entry in ipairs(plan.gate.databases) do
        local bytes, err = read_file(entry.file)
        if not bytes then
            error(format("could not read the pattern database %s: %s", entry.file,
                         err or "no reason given"), 0)
        end
        databases[i], err = hyperscan.load(bytes)
        if not databases[i] then
            error(format("could not load the pattern database %s: %s", entry.file, err), 0)
        end
    end
    return databases
end

--- Makes an engine of a plan.
-- @param plan table: plan.json as bartizan.json reads it
-- @param read_file function: gives the bytes of a file of the plan, or nil and why not
-- @param options table|nil: {gateless = true} to evaluate all rules, as a test compares with
-- @return table; raises a sentence
function _M.new(plan, read_file, options)
    local prepared = plan_reader.prepare(plan)
    local limit = type(plan.limits) == "table" and plan.limits.match
    if type(limit) == "number" then
        pcre2.set_match_limit(limit)
    end
    local sources = kinds.prepare(plan, prepared, load_databases(plan, read_file))
    return {
        rules = prepared.rules,
        phases = prepared.phases,
        tx = prepared.tx,
        gate = gate.new(plan, sources),
        is_gateless = options ~= nil and options.gateless == true,
        last_phase = prepared.last_phase,
        clean = { matches = {}, score = 0, tx = prepared.tx },
        clean_forced = { matches = {}, score = 0, tx = prepared.tx, force_body = true },
        -- States that no request has changed.
        idle = {},
        idle_count = 0,
        -- Of the phase under way: the round in which a rule was last found to be a candidate.
        marks = {},
        round = 0,
    }
end

local NONE = {}

-- Candidates of the phase under way.
local found = { of_values = nil }
-- For a request that may have none.
local spare_of_values

-- Marks the candidates that were found, and those of earlier phases: a rule of a later phase may
-- look at a value of an earlier one. Returns them all.
local function mark(engine, memory, n)
    local kept = memory.candidates
    if not kept then
        if n == 0 then
            return NONE
        end
        kept = {}
        memory.candidates, memory.of_values = kept, found.of_values
        spare_of_values = nil
    end
    local marks, round = engine.marks, engine.round + 1
    engine.round = round
    local count = #kept
    for i = 1, count do
        marks[kept[i]] = round
    end
    for i = 1, n do
        local rule = found[i]
        if marks[rule] ~= round then
            marks[rule], count = round, count + 1
            kept[count] = rule
        end
    end
    return kept
end

local function finish(outcome, state)
    outcome.finished = state.is_finished or nil
    outcome.detection_only = state.engine == "DetectionOnly" or nil
    outcome.processor, outcome.force_body = state.processor, state.force_body
    outcome.body_access = state.body_access
    outcome.score, outcome.tx = state.score, state.tx
    return outcome
end

-- For the next phase that may turn out to be clean.
local spare

-- So many states are kept for requests to come.
local IDLE = 64

local function take_state(engine)
    local count = engine.idle_count
    if count == 0 then
        return new_state(engine.tx)
    end
    local state = engine.idle[count]
    engine.idle[count], engine.idle_count = nil, count - 1
    return state
end

local function give_back(engine, state)
    local count = engine.idle_count
    if count < IDLE then
        reset(state)
        engine.idle[count + 1], engine.idle_count = state, count + 1
    end
end

-- Asks which rules might match. Returns their indices; nil and a sentence if that failed.
local function ask(engine, t, memory)
    if engine.is_gateless then
        return NONE
    end
    spare_of_values = spare_of_values or {}
    found.of_values = memory.of_values or spare_of_values
    local n, err = scan(engine.gate, t, found, memory.asked)
    if not n then
        return nil, err
    end
    local arguments = t.collections.ARGS
    memory.asked = arguments and arguments.n or 0
    return mark(engine, memory, n)
end

-- The outcome of a phase in which nothing matched that anyone is told of.
local function clean(engine, memory, state, number)
    local outcome = state.force_body and engine.clean_forced or engine.clean
    if state.is_kept and number ~= engine.last_phase then
        memory.state = state
    else
        memory.state = nil
        give_back(engine, state)
    end
    return outcome
end

local function run(engine, t, number, enforcing)
    local phase, memory = engine.phases[number], t.waf
    if not memory then
        memory = { state = nil, candidates = nil, of_values = nil, asked = nil }
        t.waf = memory
    end
    local state = memory.state
    if state and state.is_finished then
        return finish({ matches = {} }, state)
    elseif not phase then
        return state and state.is_changed and finish({ matches = {} }, state) or engine.clean
    end
    local candidates, err = ask(engine, t, memory)
    if not candidates then
        return { matches = {}, score = 0, tx = engine.tx, error = err }
    end
    -- Taken, and given back where nothing has become of them: should anything here ever raise an
    -- error, the next request gets others.
    state = state or take_state(engine)
    local outcome = spare or { matches = {} }
    spare = nil
    state.candidates_of = not engine.is_gateless and (memory.of_values or NONE) or nil
    walk(engine, phase, t, state, outcome, enforcing, candidates)
    if state.is_changed then
        memory.state = state
        return finish(outcome, state)
    end
    spare = outcome
    return clean(engine, memory, state, number)
end

--- Runs the rules of one phase.
-- @param engine table: of `new`
-- @param t table: the transaction, of bartizan.waf.collect
-- @param number number: of the phase
-- @param enforcing boolean: whether what is disruptive ends the phase; if not, all rules are
--   evaluated and `allow` allows nothing, as the manual says of DetectionOnly
-- @return table: the outcome, see above
function _M.run(engine, t, number, enforcing)
    -- The processor time of a phase's regular expressions is bounded, of all together. What an
    -- error kept from finishing here is forgotten with this.
    begin_budget()
    local outcome = run(engine, t, number, enforcing)
    finish_budget()
    return outcome
end

return _M
