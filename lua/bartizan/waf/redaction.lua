--- What the audit log may show of a value that a rule matched: cut, and without secrets.
--
--     redaction.shown("ARGS:q", "' or 1=1", "x' or 1=1 --")      "' or 1=1"
--     redaction.shown("ARGS:password", "' or 1=1", "…")          "[redacted]"
--
-- A matched part may be a piece of a secret that can't be told from it alone (the middle of a
-- token or of a card's number), so secrets are sought in the whole value, and the part is shown
-- only where what is left of it stands in what is left of the whole.

local memo = require("bartizan.waf.memo")
local redact = require("bartizan.redact")

local byte = string.byte
local concat = table.concat
local find = string.find
local gmatch = string.gmatch
local gsub = string.gsub
local is_secret = redact.is_secret
local mask_tokens = redact.tokens
local lower = string.lower
local match = string.match
local sub = string.sub

local _M = {
    --- So much of a matched part is looked at, and of the value around it.
    PART = 1024,
    AROUND = 4096,
    --- So much of a part is shown, in bytes.
    SHOWN = 200,
    --- The same of what a rule says of its match, and how much of that is looked at.
    DATA_SHOWN = 512,
    DATA = 2048,
}

local AROUND = _M.AROUND
local DATA = _M.DATA
local DATA_SHOWN = _M.DATA_SHOWN
local MASK = redact.MASK
local PART = _M.PART
local SHOWN = _M.SHOWN

-- Collections whose members have names that clients or their frameworks chose.
local NAMED = {
    ARGS = true, ARGS_GET = true, ARGS_POST = true, FILES = true, REQUEST_COOKIES = true,
    REQUEST_HEADERS = true,
}

-- Cookies that keep people logged in have names of all kinds.
local COOKIES = { "sess", "sid", "auth", "csrf", "xsrf", "remember" }

-- Whether all that stands under a variable's name is a secret.
local function is_secret_variable(variable)
    local collection, name = match(variable, "^([%u_]+):(.*)$")
    if not NAMED[collection] then
        return false
    elseif is_secret(name) then
        return true
    elseif collection == "REQUEST_COOKIES" then
        local lowered = lower(name)
        for i = 1, #COOKIES do
            if find(lowered, COOKIES[i], 1, true) then
                return true
            end
        end
    end
    return lower(name) == "proxy-authorization"
end

-- ISO/IEC 7812-1 annex B: the last digit of a card's number is a check over the others.
local function has_check_digit(digits)
    local total, double = 0, false
    for i = #digits, 1, -1 do
        local digit = byte(digits, i) - 48
        if double then
            digit = digit * 2
            if digit > 9 then
                digit = digit - 9
            end
        end
        total, double = total + digit, not double
    end
    return total % 10 == 0
end

-- Where the card's number ends that begins at a position, which is a digit after none.
local function card_end(text, start)
    local digits, at, last = "", start, nil
    while #digits <= 19 do
        local group_start, group_end = find(text, "^%d+", at)
        if not group_start then
            break
        end
        digits = digits .. sub(text, group_start, group_end)
        if #digits >= 13 and #digits <= 19 and has_check_digit(digits) then
            last = group_end
        end
        at = find(text, "^[ -]%d", group_end + 1)
        if not at then
            break
        end
        at = at + 1
    end
    return last
end

-- Numbers of cards have 13 to 19 digits, with spaces or dashes between groups of them.
local function mask_cards(text)
    if not find(text, "%d[%d -]+%d") then
        return text
    end
    local out, n, kept, position = {}, 0, 1, 1
    while true do
        local start = find(text, "%f[%d]%d", position)
        if not start then
            break
        end
        local last = card_end(text, start)
        if last then
            out[n + 1], out[n + 2] = sub(text, kept, start - 1), MASK
            n, kept = n + 2, last + 1
            position = kept
        else
            position = find(text, "%f[%D]", start) or #text + 1
        end
    end
    out[n + 1] = sub(text, kept)
    return concat(out)
end

-- name=value as forms, queries and cookies have it, and code and people, with quotes and spaces;
-- the value ends where theirs do. Names are sought at their beginning alone (%f): to try each byte
-- of a long one takes the square.
local PAIR = "%f[%w_.%%%[%]-]([%w_.%%%[%]-]+)(%s*=%s*[\"']?)[^&;, \t\r\n\"'<>]+"

local function mask_pair(name, equals)
    return is_secret(name) and name .. equals .. MASK or nil
end

local function mask_quoted(name, colon)
    return is_secret(name) and "'" .. name .. "'" .. colon .. "'" .. MASK or nil
end

-- <name>value as XML has it.
local function mask_element(name)
    return is_secret(name) and "<" .. name .. ">" .. MASK or nil
end

-- "name": "value" as JSON has it.
local function mask_member(name, colon)
    return is_secret(name) and '"' .. name .. '"' .. colon .. '"' .. MASK .. '"' or nil
end

-- RFC 9110 section 11.4: the name of a scheme, which has no case, and credentials.
local BEARER = "([bB][eE][aA][rR][eE][rR] +)[%w._~+/=-]+"
local BASIC = "([bB][aA][sS][iI][cC] +)[%w._~+/=-]+"

-- gsub writes a text anew, byte by byte, even where it finds nothing.
local function mask_credentials(text, scheme)
    return find(text, scheme) and gsub(text, scheme, "%1" .. MASK) or text
end

local function mask_all(text)
    if find(text, "=", 1, true) then
        text = gsub(text, PAIR, mask_pair)
    end
    if find(text, '"', 1, true) then
        text = gsub(text, '"([%w_.-]+)"(%s*:%s*)"[^"]*"?', mask_member)
    end
    if find(text, "'", 1, true) then
        text = gsub(text, "'([%w_.-]+)'(%s*:%s*)'[^']*", mask_quoted)
    end
    if find(text, ">", 1, true) then
        text = gsub(text, "<([%w_.-]+)>[^<]+", mask_element)
    end
    text = mask_credentials(mask_credentials(text, BEARER), BASIC)
    if find(text, "@", 1, true) then
        text = gsub(text, "(//)[^/?#@ ]+@", "%1" .. MASK .. "@")
        -- normalizePath leaves one slash of the two.
        text = gsub(text, "(%a:/)[^/?#@ ]+@", "%1" .. MASK .. "@")
    end
    -- A transformation may have made it lower case.
    return mask_cards(mask_tokens(text, "[eE][yY][jJ][%w_-]"))
end

-- The matches of a request are mostly on one value, which is looked at for each of them.
local masked = memo.new(64, 524288)

--- Masks secrets in a text, wherever they stand: what a name gives away, credentials, user and
--- password of a URL, signed tokens, numbers of cards.
function _M.mask(text)
    local known = masked:get(text)
    if not known then
        known = mask_all(text)
        masked:set(text, known)
    end
    return known
end

local mask = _M.mask

-- The part and what stands around it, of a value that may be as long as a body.
local function surroundings(part, whole)
    if #whole <= AROUND then
        return whole
    end
    local start, last = find(whole, part, 1, true)
    if not start then
        return sub(whole, 1, AROUND)
    end
    return sub(whole, start > AROUND and start - AROUND or 1, last + AROUND)
end

--- What may be shown of a matched part.
-- @param variable string: such as ARGS:q
-- @param part string: what matched
-- @param whole string|nil: the value that it is a part of
-- @return string: not yet fit to be written down: see text.printable
function _M.shown(variable, part, whole)
    if part == "" then
        return ""
    elseif is_secret_variable(variable) then
        return MASK
    end
    local cut = #part > PART
    if cut then
        part = sub(part, 1, PART)
    end
    local clear = mask(part)
    if whole and #whole > #part and not find(mask(surroundings(part, whole)), clear, 1, true) then
        return MASK
    end
    if cut or #clear > SHOWN then
        return sub(clear, 1, SHOWN) .. "..."
    end
    return clear
end

-- Whether what a rule says names a variable that is a secret.
local function names_secret_variable(data)
    for variable in gmatch(data, "%u[%u_]+:[^%s:]+") do
        if is_secret_variable(variable) then
            return true
        end
    end
    return false
end

--- What may be shown of what a rule says (logdata), which quotes part and whole of its match. A
--- part of a secret can't be told from other text there: where the whole has one, nothing is shown.
-- @param variable, part, whole: as for `shown`
-- @param data string
-- @return string: not yet fit to be written down: see text.printable
function _M.data(variable, part, whole, data)
    if data == "" then
        return ""
    elseif is_secret_variable(variable) or names_secret_variable(data) then
        return MASK
    end
    local around = whole and surroundings(part, whole) or part
    if mask(around) ~= around then
        return MASK
    end
    if #data > DATA then
        -- What was cut within a word may be half a secret.
        data = gsub(sub(data, 1, DATA), "%S+$", "")
    end
    local clear = mask(data)
    return #clear > DATA_SHOWN and sub(clear, 1, DATA_SHOWN) .. "..." or clear
end

return _M
