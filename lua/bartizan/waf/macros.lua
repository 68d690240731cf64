--- Macros, `%{TX.foo}`, in messages, in setvar and in the arguments of operators.
--
-- Description: the manual's "Macro Expansion": the value of a variable, or of the first member of a
-- collection, is put in when the rule runs. What is not there is empty text, as in libmodsecurity
-- (ModSecurity 2 leaves the macro as it stands).

local null = require("bartizan.json").null
local variables = require("bartizan.waf.variables")

local concat = table.concat
local first = variables.first
local type = type

local _M = {}

--- Prepares parts, at load.
-- @param parts array: texts and {name, key}
-- @return string where there are no macros, else an array for `expand`
function _M.prepare(parts)
    local prepared, constant = {}, true
    for i = 1, #parts do
        local part = parts[i]
        if type(part) == "string" then
            prepared[i] = part
        else
            prepared[i] = variables.reader(part.name, part.key ~= null and part.key or nil)
            constant = false
        end
    end
    return constant and concat(prepared) or prepared
end

--- Puts in the values.
-- @param prepared string|array: of `prepare`
-- @return string
function _M.expand(prepared, t, state, rule)
    if type(prepared) == "string" then
        return prepared
    end
    local texts, count = {}, #prepared
    for i = 1, count do
        local part = prepared[i]
        texts[i] = type(part) == "string" and part or first(part, t, state, rule) or ""
    end
    return count == 1 and texts[1] or concat(texts)
end

return _M
