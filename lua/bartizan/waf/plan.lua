--- Makes of a plan, as `bartizan rules compile` wrote it, what the engine runs on. Everything that
-- can be wrong is found here, at load, and said in a sentence with the rule's file and line.

local actions = require("bartizan.waf.actions")
local json = require("bartizan.json")
local macros = require("bartizan.waf.macros")
local operators = require("bartizan.waf.operators")
local transformations = require("bartizan.waf.transformations")
local variables = require("bartizan.waf.variables")

local concat = table.concat
local error = error
local format = string.format
local ipairs = ipairs
local lower = string.lower
local null = json.null
local pairs = pairs
local pcall = pcall
local tostring = tostring
local type = type

local _M = {
    --- Of plan.json.
    FORMAT = 1,
}

local GATES = { values = true, state = true, request = true, always = true }

-- Of a member that may be null.
local function given(value)
    if value == null then
        return nil
    end
    return value
end

--- Makes operators and chains of transformations, equal ones once: a pattern takes kilobytes.
local function workshop()
    local made, chains = {}, {}
    local shop = {}

    local function spelled(value)
        if type(value) ~= "table" then
            return tostring(value)
        end
        local texts = {}
        for i, item in ipairs(value) do
            texts[i] = spelled(type(item) == "table" and item.name .. "." .. tostring(item.key)
                               or item)
        end
        return concat(texts, "\31")
    end

    function shop.operator(operator)
        local key = operator.name .. "\30" .. spelled(operator.argument or {})
            .. "\30" .. spelled(given(operator.entries) or {})
        local op = made[key]
        if not op then
            op = operators.new(operator)
            made[key] = op
        end
        return op
    end

    function shop.chain(names)
        local key = concat(names, ",")
        local chain = chains[key]
        if not chain then
            chain = transformations.chain(names)
            chain.names = names
            chains[key] = chain
        end
        return chain
    end

    return shop
end

local function targets_of(link)
    local targets, exclusions = {}, {}
    for _, target in ipairs(link.targets) do
        local list = target.excluded and exclusions or targets
        list[#list + 1] = variables.target(target.name, given(target.selector),
                                           target.regex == true, target.count == true)
    end
    return targets, #exclusions > 0 and exclusions or nil
end

local function new_link(link, shop)
    local targets, exclusions = targets_of(link)
    local made = {
        targets = targets,
        exclusions = exclusions,
        chain = shop.chain(link.transformations),
        is_multi = link.multi_match == true,
        captures = link.capture == true,
        setvars = #link.setvars > 0 and actions.setvars(link.setvars) or nil,
        msg = given(link.msg) and #link.msg > 0 and macros.prepare(link.msg) or nil,
        logdata = given(link.logdata) and #link.logdata > 0 and macros.prepare(link.logdata) or nil,
    }
    local operator = given(link.operator)
    if operator then
        made.op = shop.operator(operator)
        made.is_negated = operator.negated == true
        local argument = macros.prepare(operator.argument or {})
        -- What is constant the operator has taken in when it was made.
        made.argument = type(argument) == "table" and argument or nil
    end
    return made
end

local function plain(parts)
    local texts = {}
    for _, part in ipairs(parts or {}) do
        texts[#texts + 1] = type(part) == "string" and part
            or "%{" .. part.name .. (given(part.key) and "." .. tostring(part.key) or "") .. "}"
    end
    return concat(texts)
end

local function new_rule(rule, index, shop)
    if not GATES[rule.gate.kind] then
        error("there is no gate of kind " .. tostring(rule.gate.kind), 0)
    end
    local made = {
        index = index,
        id = rule.id,
        phase = rule.phase,
        links = {},
        disruptive = rule.disruptive,
        status = given(rule.status),
        argument = given(rule.argument),
        severity = given(rule.severity),
        plain_msg = plain(given(rule.msg)),
        tags = rule.tags,
        log = rule.log ~= false,
        skip_after = given(rule.skip_after),
        paranoia = given(rule.paranoia),
        gate = rule.gate.kind,
        is_single = rule.gate.kind == "values" and #rule.links == 1,
    }
    for i, link in ipairs(rule.links) do
        made.links[i] = new_link(link, shop)
    end
    -- Of a chain's messages the first one is its name.
    for _, link in ipairs(made.links) do
        made.msg = made.msg or link.msg
        made.logdata = made.logdata or link.logdata
    end
    return made
end

-- With the place of what is wrong before the sentence that says it.
local function placed(rule, made, ...)
    local ok, result = pcall(made, ...)
    if not ok then
        error(format("%s:%s: rule %s: %s", tostring(given(rule.file) or "?"),
                     tostring(rule.line or "?"), tostring(rule.id), tostring(result)), 0)
    end
    return result
end

-- A quiet rule can only keep others from matching: that one matched is no reason to look at rules
-- that depend on effects.
local function with_ctls(rule, made, rules)
    local is_quiet = not made.log and made.disruptive == "pass" and not made.skip_after
        and not made.severity
    for i, link in ipairs(rule.links) do
        local ctls, are_quiet = actions.ctls(link.ctls, rules)
        made.links[i].ctls = #ctls > 0 and ctls or nil
        is_quiet = is_quiet and are_quiet and not made.links[i].setvars
    end
    made.is_quiet = is_quiet
end

local function has_ctl(rule, name)
    for _, link in ipairs(rule.links) do
        for _, ctl in ipairs(link.ctls) do
            if lower(ctl.name) == name then
                return true
            end
        end
    end
    return false
end

local function looks_at(rule, name)
    for _, link in ipairs(rule.links) do
        for _, target in ipairs(link.targets) do
            if target.name == name then
                return true
            end
        end
    end
    return false
end

-- The gate is asked of REQBODY_PROCESSOR as it is when a phase begins. Where a rule may change it,
-- others must not wait for the gate.
local function without_gate(plan_rules, rules)
    local is_changed = false
    for _, rule in ipairs(plan_rules) do
        is_changed = is_changed or has_ctl(rule, "requestbodyprocessor")
    end
    for _, rule in ipairs(is_changed and rules or {}) do
        if rule.gate == "values" and looks_at(rule, "REQBODY_PROCESSOR") then
            rule.gate, rule.is_single = "request", false
        end
    end
end

local function new_phase(phase, rules)
    local made = { number = phase.phase, order = {}, markers = {}, requests = {} }
    for position, index in ipairs(phase.rules) do
        local rule = rules[index + 1]
        if not rule then
            error(format("phase %d of the plan names rule %d, which there is not",
                         phase.phase, index), 0)
        end
        made.order[position], rule.position = rule, position
        if rule.gate == "request" or rule.gate == "always" then
            made.requests[#made.requests + 1] = position
        end
    end
    for name, position in pairs(phase.markers) do
        made.markers[name] = position + 1
    end
    return made
end

--- Prepares a plan.
-- @param plan table: what plan.json says, as bartizan.json reads it
-- @return table: {rules, phases, last_phase, tx}, and `shop`, which makes what the gate needs
function _M.prepare(plan)
    if plan.format ~= _M.FORMAT then
        error(format("the plan's format is %s and this engine reads %d: compile the rules anew",
                     tostring(plan.format), _M.FORMAT), 0)
    end
    local shop = workshop()
    local rules, phases, tx = {}, {}, {}
    for i, rule in ipairs(plan.rules) do
        rules[i] = placed(rule, new_rule, rule, i, shop)
    end
    for i, rule in ipairs(plan.rules) do
        placed(rule, with_ctls, rule, rules[i], rules)
    end
    without_gate(plan.rules, rules)
    for _, phase in ipairs(plan.phases) do
        phases[phase.phase] = new_phase(phase, rules)
    end
    for name, value in pairs(plan.tx) do
        tx[name] = tostring(value)
    end
    local last_phase = 0
    for number in pairs(phases) do
        last_phase = number > last_phase and number or last_phase
    end
    return { rules = rules, phases = phases, last_phase = last_phase, tx = tx, shop = shop }
end

return _M
