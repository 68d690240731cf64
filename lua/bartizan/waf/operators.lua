--- SecLang's operators: what a rule asks of one value.
--
--     local op = operators.new(plan.rules[i].links[j].operator)      -- at load
--     local matches, text = op.check(op, value, argument, captures)
--
-- The files in operators/ hold one concept each. They export makers by SecLang name:
-- `maker(op, text, entries)` gets the table of the operator to come, its constant argument (nil
-- where the argument has macros, which the engine expands for each check) and the resolved
-- entries of a list or nil; it sets `op.check` and whatever that needs, or calls error() with a
-- sentence that says what is wrong with the argument. Whatever can fail or allocate is done there.
--
-- `check(op, value, argument, captures)` answers
--     true, text      the value matches; `text` is the part of it that tells so, for the log
--     false           it does not
--     nil, err        there is no answer: the match limit was reached, or matching failed
-- `captures`, if given, gets TX:0 to TX:9 where the manual says that an operator captures. Negation
-- and everything that follows from a match is the engine's.

local error = error
local format = string.format
local ipairs = ipairs
local lower = string.lower
local pairs = pairs
local pcall = pcall
local type = type

local _M = {}

-- What the manual names and this engine does not do, and why.
local UNSUPPORTED = {
    fuzzyHash = "it needs a database of ssdeep hashes",
    geoLookup = "it needs a database of countries",
    gsbLookup = "Google has ended the service that it asked",
    inspectFile = "a gateway runs no programs on what it is sent",
    rbl = "a name server would be asked in each request",
    rsub = "it rewrites what passes",
    validateDTD = "XML is not validated",
    validateHash = "links are not signed",
    validateSchema = "XML is not validated",
}

-- By lower-case name, as the manual's operators may be written in any case.
local makers, unsupported = {}, {}

local FILES = { "addresses", "always", "injection", "numbers", "phrases", "regex", "text",
                "validate", "verify" }
for _, file in ipairs(FILES) do
    for name, maker in pairs(require("bartizan.waf.operators." .. file)) do
        makers[lower(name)] = maker
    end
end
for name, why in pairs(UNSUPPORTED) do
    unsupported[lower(name)] = format("@%s is not supported: %s", name, why)
end

-- The constant text of an argument in parts, or nil where a part of it is a macro.
local function constant(parts)
    if parts == nil or #parts == 0 then
        return ""
    elseif #parts == 1 and type(parts[1]) == "string" then
        return parts[1]
    end
    return nil
end

local function entries_of(operator)
    local entries = operator.entries
    return type(entries) == "table" and #entries > 0 and entries or nil
end

--- Makes an operator.
-- @param operator table: {name, argument, entries} as a plan has it
-- @return table: the operator, with `check`; raises a sentence if there is none to be made
function _M.new(operator)
    local name = operator.name
    local maker = makers[lower(name)]
    if not maker then
        error(unsupported[lower(name)] or format("there is no operator @%s", name), 0)
    end
    local op = { name = name, check = nil }
    local ok, err = pcall(maker, op, constant(operator.argument), entries_of(operator))
    if not ok then
        error(format("@%s: %s", name, err), 0)
    end
    return op
end

return _M
