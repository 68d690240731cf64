--- What the audit log has of an inspection, as JSON: the score, what was read of the body, and each
--- match with its rule, and where and what matched, cut and without secrets.

local memo = require("bartizan.waf.memo")
local quote = require("bartizan.quote")
local redaction = require("bartizan.waf.redaction")
local text = require("bartizan.text")

local concat = table.concat
local data = redaction.data
local format = string.format
local mask = redaction.mask
local printable = text.printable
local setmetatable = setmetatable
local shown = redaction.shown
local tostring = tostring

local _M = {
    --- So many matches are written down of one request. At all paranoia levels of the Core Rule Set
    --- there are not many more rules for requests.
    MATCHES = 300,
}

-- ModSecurity Reference Manual, action "severity".
local SEVERITIES = {
    [0] = "EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG",
}

local NONE = {}

local MESSAGE_BOUND = 256
local VARIABLE_BOUND = 128
local VALUE_BOUND = redaction.SHOWN + 4         -- they were cut there
local DATA_BOUND = redaction.DATA_SHOWN + 4

-- By the list, which is the rule's own and lives as long as it.
local tags_of = setmetatable({}, { __mode = "k" })

local function tags(list)
    local written = tags_of[list]
    if not written then
        local quoted = {}
        for i = 1, #list do
            quoted[i] = quote(list[i])
        end
        written = "[" .. concat(quoted, ",") .. "]"
        tags_of[list] = written
    end
    return written
end

-- What rules say and look at repeats.
local function writer(bound)
    local known = memo.new(1024, 262144)
    return function(said)
        local written = known:get(said)
        if not written then
            written = quote(printable(mask(said), bound))
            known:set(said, written)
        end
        return written
    end
end

local write_message, write_variable = writer(MESSAGE_BOUND), writer(VARIABLE_BOUND)

local function one(match)
    local variable = match.variable or ""
    local part, whole = match.value or "", match.whole
    local value = shown(variable, part, whole)
    local said = data(variable, part, whole, match.data or "")
    return concat({
        '{"rule":', format("%d", match.id),
        ',"message":', write_message(match.msg or ""),
        ',"severity":', quote(SEVERITIES[match.severity] or ""),
        ',"tags":', tags(match.tags or NONE),
        ',"variable":', write_variable(variable),
        ',"value":', quote(printable(value, VALUE_BOUND)),
        ',"data":', quote(printable(said, DATA_BOUND)),
        ',"paranoia":', tostring(match.paranoia or "null"),
        "}",
    })
end

--- Writes an inspection.
-- @param found table: {complete, why, matches}
-- @param score number
-- @param settings table: the plan's: {inbound, paranoia}
-- @param crs string|nil: which rules
-- @return string: an object of JSON
function _M.write(found, score, settings, crs)
    local matches, written = found.matches, {}
    for i = 1, #matches do
        if i > _M.MATCHES then
            break
        end
        written[i] = one(matches[i])
    end
    return concat({
        '{"score":', format("%d", score),
        ',"threshold":', format("%d", settings.inbound),
        ',"paranoia":', format("%d", settings.paranoia),
        ',"crs":', crs and quote(crs) or "null",
        ',"body":', quote(found.complete),
        ',"why":', quote(found.why),
        ',"matches":[', concat(written, ","), "]",
        #matches > #written and ',"omitted":' .. format("%d", #matches - #written) or "",
        "}",
    })
end

return _M
