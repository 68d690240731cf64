--- Bodies of application/x-www-form-urlencoded: what `waf.query` reads, with a verdict.

local query = require("bartizan.waf.query")

local format = string.format
local read_query = query.read

local _M = {}

--- Reads a form and puts its arguments behind those that are there.
-- @param text string: the body, or its beginning: a last argument that was cut off is one too
-- @param names table, values table, n number: the arguments so far
-- @param limits table: {arguments = how many there may be altogether}
-- @return number, boolean: how many there are now, and whether a % stood without two hex digits
-- @return number, boolean, string, string: and why it was not read whole: "too_many", a sentence
function _M.read(text, names, values, n, limits)
    local count, malformed, all = read_query(text, names, values, n, limits.arguments)
    if all then
        return count, malformed
    end
    return count, malformed, "too_many", format("more than %d arguments", limits.arguments)
end

return _M
