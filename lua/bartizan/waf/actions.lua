--- Actions: what a rule does when it matches: setvar at once and for each value that a link
-- matches, even if a later link of the chain does not (as libmodsecurity does); ctl once the whole
-- chain has.

local collect = require("bartizan.waf.collect")
local macros = require("bartizan.waf.macros")
local operators = require("bartizan.waf.operators")
local transaction = require("bartizan.waf.state")
local variables = require("bartizan.waf.variables")

local error = error
local expand = macros.expand
local find = string.find
local format = string.format
local ipairs = ipairs
local lower = string.lower
local match = string.match
local prepare_macros = macros.prepare
local PROCESSORS = collect.PROCESSORS
local set_processor = collect.set_processor
local set_tx = transaction.set_tx
local tonumber = tonumber
local tx_of = transaction.tx
local type = type
local upper = string.upper

local _M = {}

-- The integer that a text begins with, or 0: libmodsecurity reads with C's strtol.
local function integer(text)
    return text and tonumber(match(text, "^%s*([+-]?%d+)")) or 0
end

-- What CRS counts attacks in: tx.anomaly_score_pl1, tx.inbound_anomaly_score_pl1, ….
local function is_score(key)
    return type(key) == "string" and find(key, "anomaly_score_pl%d$") ~= nil
end

--- Prepares setvar actions, at load.
-- @param setvars array: {key, change, value} as a plan has them
-- @return array
function _M.setvars(setvars)
    local prepared = {}
    for i, setvar in ipairs(setvars) do
        local key = prepare_macros(setvar.key)
        prepared[i] = {
            key = key, change = setvar.change, value = prepare_macros(setvar.value),
            is_score = setvar.change == "+" and is_score(key),
        }
    end
    return prepared
end

--- Executes them.
function _M.set(setvars, t, state, rule)
    for i = 1, #setvars do
        local setvar = setvars[i]
        local name = expand(setvar.key, t, state, rule)
        local change = setvar.change
        if change == "!" then
            set_tx(state, name, nil)
        else
            local value = expand(setvar.value, t, state, rule)
            if change ~= "=" then
                local grows = integer(value)
                if change == "-" then
                    grows = -grows
                end
                value = format("%.0f", integer(tx_of(state, lower(name))) + grows)
                if setvar.is_score then
                    state.score = state.score + grows
                end
            end
            set_tx(state, name, value)
        end
    end
end

-- ctl ---------------------------------------------------------------------------------------------

local function by_id(value, rules)
    local set, first, last = {}, match(value, "^%s*(%d+)%s*%-%s*(%d+)%s*$")
    if not first then
        first = match(value, "^%s*(%d+)%s*$")
        last = first
    end
    if not first then
        error(format('ctl: "%s" is neither a rule\'s id nor a range of ids', value), 0)
    end
    first, last = tonumber(first), tonumber(last)
    for _, rule in ipairs(rules) do
        if rule.id >= first and rule.id <= last then
            set[rule.index] = true
        end
    end
    return set
end

-- Tags and messages are regular expressions that are sought, as the manual has it of
-- SecRuleRemoveByTag and SecRuleRemoveByMsg.
local function by_pattern(value, rules, texts_of)
    local op = operators.new({ name = "rx", argument = { value } })
    local set = {}
    for _, rule in ipairs(rules) do
        for _, text in ipairs(texts_of(rule)) do
            if op:check(text) ~= false then
                set[rule.index] = true
            end
        end
    end
    return set
end

local function tags_of(rule)
    return rule.tags
end

local function messages_of(rule)
    return { rule.plain_msg }
end

local function by_tag(value, rules)
    return by_pattern(value, rules, tags_of)
end

local function by_msg(value, rules)
    return by_pattern(value, rules, messages_of)
end

local function remove(select)
    return function(ctl, rules)
        local set = select(ctl.value, rules)
        return function(state)
            local removed = state.removed or {}
            removed[#removed + 1] = set
            state.removed = removed
        end
    end
end

local function remove_target(select)
    return function(ctl, rules)
        local target = ctl.target
        if type(target) ~= "table" then
            error(format("ctl:%s names no target", ctl.name), 0)
        end
        local selector = type(target.selector) == "string" and target.selector or nil
        local entry = {
            rules = select(ctl.value, rules),
            target = variables.target(target.name, selector, target.regex, false),
        }
        return function(state)
            local left_out = state.left_out or {}
            left_out[#left_out + 1] = entry
            state.left_out = left_out
        end
    end
end

local ENGINE = { on = "On", off = "Off", detectiononly = "DetectionOnly" }

-- Those that only make rules match less, or the body be read as it stands.
local QUIET = {
    ruleremovebyid = true, ruleremovebytag = true, ruleremovebymsg = true,
    ruleremovetargetbyid = true, ruleremovetargetbytag = true, ruleremovetargetbymsg = true,
    forcerequestbodyvariable = true,
}

-- By name in lower case. Each makes, at load, what is called when the rule matches;
-- nil where the gateway's own settings decide, or where there is nothing to change.
local CTL = {
    ruleremovebyid = remove(by_id),
    ruleremovebytag = remove(by_tag),
    ruleremovebymsg = remove(by_msg),
    ruleremovetargetbyid = remove_target(by_id),
    ruleremovetargetbytag = remove_target(by_tag),
    ruleremovetargetbymsg = remove_target(by_msg),
    ruleengine = function(ctl)
        local mode = ENGINE[lower(ctl.value)]
        if not mode then
            error(format("ctl:ruleEngine is On, Off or DetectionOnly, not %s", ctl.value), 0)
        end
        return function(state)
            state.engine = mode
            state.is_finished = state.is_finished or mode == "Off"
        end
    end,
    requestbodyprocessor = function(ctl)
        local processor = upper(ctl.value)
        if not PROCESSORS[processor] then
            error(format("ctl:requestBodyProcessor: there is no processor %s", ctl.value), 0)
        end
        return function(state, t)
            -- At once, too: rules of the same phase ask for REQBODY_PROCESSOR.
            state.processor = processor
            set_processor(t, processor)
        end
    end,
    forcerequestbodyvariable = function(ctl)
        local is_on = lower(ctl.value) == "on"
        return function(state)
            state.force_body = is_on
        end
    end,
    requestbodyaccess = function(ctl)
        local is_on = lower(ctl.value) ~= "off"
        return function(state)
            state.body_access = is_on
        end
    end,
}

--- Prepares ctl actions, at load.
-- @param ctls array: {name, value, target}
-- @param rules array: all rules of the plan
-- @return array of function(state, t), boolean: whether all are quiet
function _M.ctls(ctls, rules)
    local prepared, are_quiet = {}, true
    for _, ctl in ipairs(ctls) do
        local name = lower(ctl.name)
        local maker = CTL[name]
        if maker then
            prepared[#prepared + 1] = maker(ctl, rules)
            are_quiet = are_quiet and QUIET[name] == true
        end
    end
    return prepared, are_quiet
end

return _M
