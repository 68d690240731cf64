--- Kinds of values: a variable, all members of a collection, or one named member of it. For each
-- the compiler knows which rules could look at it, and this makes of that what the gate asks.
--
-- A kind has `forms`, the steps of transformations that its rules need, with what several chains
-- begin with made once. Form 1 is the value itself; forms[i] = {from = j, apply, changes}, j < i.

local bit = require("bit")
local classes = require("bartizan.waf.classes")
local memo = require("bartizan.waf.memo")
local transformations = require("bartizan.waf.transformations")
local variables = require("bartizan.waf.variables")

local band = bit.band
local bor = bit.bor
local char = string.char
local concat = table.concat
local error = error
local format = string.format
local ipairs = ipairs
local tostring = tostring
local type = type

local _M = {
    -- Of one generation of a memo, in entries and in bytes: of kinds with many values (all members
    -- of a collection), and of those that a request has one of. With CRS 4 there are about 8 of the
    -- first and 30 of the second: 8 MiB at the very most, tables included.
    MANY = { 2048, 262144 },
    ONE = { 256, 32768 },
}

-- What there is only once the body is read, or what that may change.
local LATE = {
    ARGS = true, ARGS_POST = true, FILES = true, FILES_NAMES = true, FILES_SIZES = true,
    FILES_TMPNAMES = true, FILES_TMP_CONTENT = true, MULTIPART_FILENAME = true,
    MULTIPART_NAME = true, MULTIPART_PART_HEADERS = true, XML = true, ARGS_COMBINED_SIZE = true,
    FILES_COMBINED_SIZE = true, FULL_REQUEST = true, FULL_REQUEST_LENGTH = true,
    INBOUND_DATA_ERROR = true, REQBODY_ERROR = true, REQBODY_ERROR_MSG = true,
    REQBODY_PROCESSOR = true, REQBODY_PROCESSOR_ERROR = true, REQBODY_PROCESSOR_ERROR_MSG = true,
    REQUEST_BODY = true, REQUEST_BODY_LENGTH = true, URLENCODED_ERROR = true,
}

local function is_late(name)
    return LATE[name] or name:find("^MULTIPART_") ~= nil or name:find("^RESPONSE_") ~= nil
end

-- Adds the steps of a chain to those that are there and returns the form that it ends at.
local function add_chain(kind, names)
    local at = 1
    for _, transformation in ipairs(transformations.chain(names)) do
        local steps = kind.steps[at] or {}
        kind.steps[at] = steps
        local form = steps[transformation]
        if not form then
            form = #kind.forms + 1
            kind.forms[form] = {
                from = at, apply = transformation.apply, changes = transformation.changes,
            }
            steps[transformation] = form
            kind.changes = bor(kind.changes, transformation.changes)
        end
        at = form
    end
    return at
end

local function direct_of(kind, entry, rules, plan_rules, shop)
    local rule = rules[entry.rule + 1]
    if not rule then
        error(format("a direct probe names rule %s, which there is not", tostring(entry.rule)), 0)
    end
    local operator = entry.operator
    if type(operator) ~= "table" then
        operator = plan_rules[entry.rule + 1].links[entry.link + 1].operator
    end
    local is_constant = true
    for _, part in ipairs(operator.argument or {}) do
        is_constant = is_constant and type(part) == "string"
    end
    return {
        rule = rule.index,
        form = kind.form_of[entry.chain],
        -- What depends on more than the value can't be asked here: then any value may match.
        op = is_constant and shop.operator(operator) or nil,
        is_negated = operator.negated == true,
    }
end

-- The patterns that count for a kind, as a set, where its database is one of other kinds, too.
local function accepted(entry)
    if type(entry.accepts) ~= "table" then
        return nil
    end
    local set = {}
    for _, id in ipairs(entry.accepts) do
        set[id] = true
    end
    return set
end

local function database_of(databases, number)
    if type(number) ~= "number" then
        return false
    end
    local database = databases[number + 1]
    if not database then
        error(format("there is no pattern database %d", number), 0)
    end
    return database
end

-- A part of a kind is some of its chains and the database of their patterns. What `plain` texts can
-- match has one of its own: false where that is nothing, and none is named where there is no such.
local function new_part(entry, databases, ends)
    local part = { ends = ends, database = database_of(databases, entry.database) }
    part.plain = part.database
    if entry.plain ~= nil then
        part.plain = database_of(databases, entry.plain)
    end
    return part.database and part
end

-- The forms that chains end at, each once, but for those of chains that are `taken`.
local function ends_of(kind, chains, taken)
    local ends, is_end = {}, {}
    for _, chain in ipairs(chains) do
        local form = kind.form_of[chain]
        if not (taken and taken[chain]) and not is_end[form] then
            is_end[form] = true
            ends[#ends + 1] = form
        end
    end
    return ends
end

-- Chains that make something else of nearly every text (base64Decode) are parts of their own.
local function add_parts(kind, entry, databases)
    local taken = {}
    for _, part in ipairs(type(entry.parts) == "table" and entry.parts or {}) do
        for _, chain in ipairs(part.chains) do
            if not kind.form_of[chain] then
                error(format("a part of %s has chain %s, which its kind does not list",
                             entry.collection, tostring(chain)), 0)
            end
            taken[chain] = true
        end
        kind.parts[#kind.parts + 1] = new_part(part, databases, ends_of(kind, part.chains)) or nil
    end
    local rest = new_part(entry, databases, ends_of(kind, entry.chains, taken))
    kind.parts[#kind.parts + 1] = rest or nil
end

local function new_kind(entry, gate, rules, plan_rules, databases, shop, memos)
    local kind = {
        forms = { {} }, steps = {}, changes = 0, form_of = {}, direct = {}, always = {},
        parts = {}, accepts = accepted(entry),
    }
    for _, chain in ipairs(entry.chains) do
        kind.form_of[chain] = add_chain(kind, gate.chains[chain + 1])
    end
    kind.steps = nil
    add_parts(kind, entry, databases)
    local spelled = {}
    for i, probe in ipairs(entry.direct) do
        if not kind.form_of[probe.chain] then
            error(format("a direct probe of %s needs chain %s, which its kind does not list",
                         entry.collection, tostring(probe.chain)), 0)
        end
        kind.direct[i] = direct_of(kind, probe, rules, plan_rules, shop)
        spelled[i] = concat({
            probe.rule, probe.chain, tostring(probe.link), tostring(probe.operator),
        }, ".")
    end
    for _, part in ipairs(kind.parts) do
        spelled[#spelled + 1] = tostring(part.database) .. concat(part.ends, ".")
    end
    for i, rule in ipairs(type(entry.always) == "table" and entry.always or {}) do
        kind.always[i] = rule + 1
    end
    -- Kinds that ask the same questions share their answers.
    local group = concat({
        concat(entry.chains, ","), concat(spelled, ","),
        kind.accepts and concat(entry.accepts, ",") or "", concat(kind.always, ","),
    }, ";")
    local bounds = entry.is_many and type(entry.selector) ~= "string" and _M.MANY or _M.ONE
    local shared = memos[bounds][group]
    if not shared then
        shared = memo.new(bounds[1], bounds[2])
        memos[bounds][group] = shared
    end
    kind.memo = shared
    return kind
end

-- What compiler and engine call plain must be the same: patterns were left out of `plain` for that.
local function check_plain(bytes)
    for _, b in ipairs(type(bytes) == "table" and bytes or {}) do
        if band(classes.of(char(b)), classes.SPECIAL) ~= 0 then
            error(format("the plan takes byte %d for plain, and this engine does not: compile the "
                         .. "rules anew", b), 0)
        end
    end
end

--- Prepares the kinds of a plan, at load.
-- @param plan table: as bartizan.json reads it
-- @param prepared table: of bartizan.waf.plan
-- @param databases array: of bartizan.waf.hyperscan
-- @return array of sources: {name, is_names, is_late, is_scalar, generic, named}
function _M.prepare(plan, prepared, databases)
    local sources, by_name, memos = {}, {}, { [_M.MANY] = {}, [_M.ONE] = {} }
    check_plain(plan.gate.plain)
    for _, entry in ipairs(plan.gate.kinds) do
        local name = entry.collection
        local of_names = variables.NAMES_OF[name]
        local is_many = of_names ~= nil or variables.COLLECTIONS[name] ~= nil
        entry.is_many = is_many
        local kind = new_kind(entry, plan.gate, prepared.rules, plan.rules, databases,
                              prepared.shop, memos)
        local source = by_name[name]
        if not source then
            source = {
                name = of_names or name, is_names = of_names ~= nil, is_scalar = not is_many,
                is_late = is_late(of_names or name),
            }
            sources[#sources + 1], by_name[name] = source, source
        end
        if type(entry.selector) == "string" then
            source.named = source.named or {}
            source.named[entry.selector:lower()] = kind
        else
            source.generic = kind
        end
    end
    return sources
end

return _M
