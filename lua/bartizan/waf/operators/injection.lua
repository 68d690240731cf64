--- Operators that ask libinjection.

local libinjection = require("bartizan.waf.libinjection")

local error = error
local is_sqli = libinjection.sqli
local is_xss = libinjection.xss

local _M = {}

local function loaded()
    local ok, err = libinjection.load()
    if not ok then
        error(err, 0)
    end
end

local function check_sqli(_, value, _, captures)
    local fingerprint = is_sqli(value)
    if not fingerprint then
        return false
    end
    if captures then
        captures[0] = fingerprint
    end
    return true, fingerprint
end

local function check_xss(_, value, _, captures)
    if not is_xss(value) then
        return false
    end
    if captures then
        captures[0] = value
    end
    return true, value
end

--- detectSQLi
-- Description: the value is SQL injection, by itself or from inside quotation marks.
-- Arguments: none.
-- Returns: the fingerprint of its tokens; captures it as TX:0.
-- Example: SecRule REQUEST_URI "@detectSQLi" "id:152"
function _M.detectSQLi(op)
    loaded()
    op.check = check_sqli
end

--- detectXSS
-- Description: the value is cross-site scripting, as text or inside an attribute.
-- Arguments: none.
-- Returns: the value; captures it as TX:0.
-- Example: SecRule REQUEST_BODY "@detectXSS" "id:12345,log,deny"
function _M.detectXSS(op)
    loaded()
    op.check = check_xss
end

return _M
