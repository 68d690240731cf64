--- Operators that look for one of many phrases.

local automaton = require("bartizan.waf.operators.automaton")

local error = error
local new_automaton = automaton.new

local _M = {}

local function check(op, value, _, captures)
    local phrase = op.automaton:find(value)
    if not phrase then
        return false
    end
    if captures then
        captures[0] = phrase
    end
    return true, phrase
end

local function maker(op, _, entries)
    if not entries then
        error("the plan has no phrases for it", 0)
    end
    op.automaton = new_automaton(entries)
    op.check = check
end

--- pm
-- Description: one of the phrases is somewhere in the value, in whatever case.
-- Arguments: phrases set apart by spaces; without macros.
-- Returns: the phrase as the rule spells it: the one that ends first in the value, of several that
-- end there the longest; captures it as TX:0.
-- Example: SecRule REQUEST_HEADERS:User-Agent "@pm WebZIP WebCopier Webster" "id:166"
_M.pm = maker

--- pmFromFile
-- Description: as @pm, with phrases from files.
-- Arguments: names of files with one phrase a line; blank lines and those that begin with # count
-- for nothing. The files are read when rules are compiled.
-- Returns: as @pm.
-- Example: SecRule REQUEST_HEADERS:User-Agent "@pmFromFile blacklist.txt" "id:167"
_M.pmFromFile = maker

--- pmf
-- A short name of @pmFromFile.
_M.pmf = maker

return _M
