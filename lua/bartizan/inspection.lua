--- One request before the rules: both phases, how much of it they saw, and what is written of it.
--
--     local rules = inspection.load(folder, shared)              -- at load
--     local found = inspection.run(rules, source, window, enforcing)
--     found.disruptive        nil, or what refuses the request: see bartizan.waf.engine
--     found.problem           nil, or a sentence: what kept the engine from an answer
--     found.is_undecided      true where that was the request itself: a rule at its match limit
--     found.complete, found.why, found.form     see bartizan.waf.collect; form: its sentence
--     found.matches           an array
--     inspection.report(rules, found)           an object of JSON, for the audit log
--
-- Phase 1 sees the head of a request, phase 2 all of it. Where phase 1 refuses, the body is not
-- waited for.

local body = require("bartizan.inspection.body")
local collect = require("bartizan.waf.collect")
local engines = require("bartizan.waf.engine")
local json = require("bartizan.json")
local metrics = require("bartizan.metrics")
local report = require("bartizan.waf.report")

local collect_body = collect.body
local collect_head = collect.head
local count = metrics.count
local error = error
local format = string.format
local io_open = io.open
local pcall = pcall
local read_body = body.read
local reset = collect.reset
local run_phase = engines.run
local tonumber = tonumber
local tostring = tostring
local type = type
local write = report.write

local ngx = ngx
local ngx_log = ngx.log
local ERR = ngx.ERR

local _M = {}

local function read_file(folder, name)
    local path = folder .. "/" .. name
    local file, err = io_open(path, "rb")
    if not file then
        error("waf: could not open a compiled rule file: " .. err, 0)
    end
    local bytes = file:read("*a")
    file:close()
    return bytes
end

local function load(folder)
    local plan, err = json.decode(read_file(folder, "plan.json"), json.OWN_FILE)
    if not plan then
        error(format("waf: %s/plan.json: not readable as JSON: %s", folder, err), 0)
    end
    return {
        engine = engines.new(plan, function(name) return read_file(folder, name) end),
        settings = plan.settings,
        crs = type(plan.crs) == "string" and plan.crs or nil,
    }
end

--- Loads a compiled plan, once for all guards that share it.
-- @param folder string
-- @param shared table: what guards share
-- Raises a string.
function _M.load(folder, shared)
    local loaded = shared.rules
    if not loaded then
        loaded = {}
        shared.rules = loaded
    end
    if not loaded[folder] then
        loaded[folder] = load(folder)
    end
    return loaded[folder]
end

local function add(found, outcome)
    local matches, more = found.matches, outcome.matches
    local n = #matches
    for i = 1, #more do
        local match = more[i]
        matches[n + i] = match
        found.is_undecided = found.is_undecided or match.error == true
    end
    found.disruptive = found.disruptive or outcome.disruptive
    found.problem = found.problem or outcome.error
    found.tx = outcome.tx
end

local function note_completeness(found, said)
    if said.complete ~= "full" then
        found.complete, found.why, found.form = said.complete, said.why, said.error
    end
end

local function read(source, transaction, head, window, found)
    local data, more = read_body(window)
    if not data then
        return
    end
    collect_body(transaction, data, {
        window = window,
        truncated = more,
        length = more and tonumber(source.content_length) or nil,
        force = head.force_body,
        access = head.body_access,
    })
    note_completeness(found, transaction.body)
end

-- Transactions that are not under way: to fill a table again costs half of what a new one does. A
-- request may wait for its body, so one is not enough.
local SPARE = 64
local spare, spare_count = {}, 0

local function take(source)
    local used
    if spare_count > 0 then
        used = spare[spare_count]
        spare_count = spare_count - 1
    end
    return collect_head(source, used)
end

-- What was found has only texts of it. A body may be long, and is not kept.
local function give_back(transaction, window)
    if spare_count < SPARE then
        if window then
            reset(transaction)
        end
        spare_count = spare_count + 1
        spare[spare_count] = transaction
    end
end

local function inspect(rules, source, window, enforcing, found)
    local engine = rules.engine
    local transaction = take(source)
    local head = run_phase(engine, transaction, 1, enforcing)
    add(found, head)
    note_completeness(found, transaction.head)
    if head.finished or enforcing and (found.disruptive or found.problem) then
        if window then
            found.complete, found.why = "none", "not_reached"
        end
        give_back(transaction, nil)
        return
    end
    if window then
        read(source, transaction, head, window, found)
    end
    add(found, run_phase(engine, transaction, 2, enforcing))
    give_back(transaction, window)
end

--- Inspects a request.
-- @param rules table: of `load`
-- @param source table: see bartizan.waf.collect
-- @param window number|nil: so many bytes of the body are read, at most, which may be waited for;
--   nil: there is none, or it is not to be read
-- @param enforcing boolean: whether it ends where a rule refuses; if not, all that matches is found
-- @return table: see above
function _M.run(rules, source, window, enforcing)
    local found = {
        matches = {}, complete = "full", why = "", tx = nil, is_undecided = false,
    }
    local ok, err = pcall(inspect, rules, source, window, enforcing, found)
    if not ok then
        ngx_log(ERR, "the rule engine failed: ", err)
        found.problem = tostring(err)
    end
    return found
end

local FULL = "waf_body|full|"

--- Counts an inspection.
function _M.tally(found)
    if found.complete == "full" then
        count(FULL)
    else
        count("waf_body|" .. found.complete .. "|" .. found.why)
    end
    local matches = found.matches
    for i = 1, #matches do
        count("waf_match|" .. format("%d", matches[i].id))
    end
end

--- The anomaly score, as the Core Rule Set counts it itself (4.x, 3.3); 0 where nothing does.
function _M.score(found)
    local tx = found.tx
    return tx and tonumber(tx.blocking_inbound_anomaly_score or tx.anomaly_score) or 0
end

--- Writes an inspection down.
-- @return string: an object of JSON
function _M.report(rules, found)
    return write(found, _M.score(found), rules.settings, rules.crs)
end

return _M
