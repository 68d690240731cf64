--- What logs may show of a request's target: secrets are taken out at the source.

local ffi = require("ffi")

local byte = string.byte
local char = string.char
local concat = table.concat
local ffi_string = ffi.string
local find = string.find
local gmatch = string.gmatch
local gsub = string.gsub
local lower = string.lower
local sub = string.sub
local tonumber = tonumber

local _M = {
    --- What stands in the place of a secret.
    MASK = "[redacted]",
    --- Names of arguments that carry secrets, folded: lower case, letters and digits only.
    SECRETS = {},
    --- A folded name that ends in one of these carries a secret too: user_password, csrf-token.
    SECRET_ENDINGS = { "password", "passwd", "secret", "token", "apikey" },
}

local MASK = _M.MASK
local SECRETS = _M.SECRETS
local SECRET_ENDINGS = _M.SECRET_ENDINGS

-- RFC 6749 and 6750 names, and what people call theirs.
for name in gmatch([[
    accesskey accesstoken apikey apitoken assertion auth authorization authtoken bearer
    clientassertion clientsecret code codeverifier credential credentials idtoken jsessionid jwt
    key otp pass passcode passphrase passwd password passwordagain passwordconfirm
    passwordconfirmation passwordrepeat passwrd phpsessid pin privatekey pwd refreshtoken
    samlresponse secret secretkey session sessionid sid sig signature token totp
    xamzsecuritytoken xamzsignature xapikey
]], "%S+") do
    SECRETS[name] = true
end

-- What honest clients call their arguments repeats; emptied when it has grown to its bound, and
-- longer names than theirs are judged anew.
local MEMO_BOUND = 2048
local MEMO_LONGEST = 64
local memo, memo_count = {}, 0

local function unescape(hex)
    return char(tonumber(hex, 16))
end

-- What a byte is in a folded name: itself in lower case, or 0 where it is left out.
local FOLDED = ffi.new("uint8_t[256]")
-- What takes a name apart for some framework: a%20b, user[password][], a.pin.
local PARTING = ffi.new("uint8_t[256]")
-- What the endings end in, so that most names are compared with none.
local LAST = ffi.new("uint8_t[256]")
for b = 0, 255 do
    local text = char(b)
    FOLDED[b] = find(text, "^%w") and byte(lower(text)) or 0
    PARTING[b] = find(text, "^[%%%[%].]") and 1 or 0
end
for i = 1, #SECRET_ENDINGS do
    LAST[byte(SECRET_ENDINGS[i], -1)] = 1
end

local NINE, ZERO = 0x39, 0x30
local LONGEST_FOLDED = 256
local folding = ffi.new("uint8_t[?]", LONGEST_FOLDED)

local function ends_secretly(folded)
    for i = 1, #SECRET_ENDINGS do
        if sub(folded, -#SECRET_ENDINGS[i]) == SECRET_ENDINGS[i] then
            return true
        end
    end
    return false
end

-- Whether a part of a name, taken for a name, is a secret's. A number behind it makes it no other
-- thing: password2. Of a very long one the end is what says it.
local function names_secret(name)
    local length, n = #name, 0
    for i = length > LONGEST_FOLDED and length - LONGEST_FOLDED + 1 or 1, length do
        local b = FOLDED[byte(name, i)]
        if b ~= 0 then
            folding[n], n = b, n + 1
        end
    end
    while n > 0 and folding[n - 1] <= NINE and folding[n - 1] >= ZERO do
        n = n - 1
    end
    if n == 0 then
        return false
    end
    local folded = ffi_string(folding, n)
    return SECRETS[folded] == true or LAST[folding[n - 1]] ~= 0 and ends_secretly(folded)
end

local function is_parted(name)
    for i = 1, #name do
        if PARTING[byte(name, i)] ~= 0 then
            return true
        end
    end
    return false
end

-- Whether an argument's name says that its value is a secret. Percent-encoding can't hide it, nor
-- can brackets and dots, which many frameworks read as nesting: user[password][], token[0], a.pin.
local function judge(name)
    if not is_parted(name) then
        return names_secret(name)
    end
    if find(name, "%", 1, true) then
        name = gsub(name, "%%(%x%x)", unescape)
    end
    if names_secret(name) then
        return true
    end
    for part in gmatch(name, "[^%[%].]+") do
        if names_secret(part) then
            return true
        end
    end
    return false
end

--- Whether a name says that what stands under it is a secret.
local function is_secret(name)
    local known = memo[name]
    if known == nil then
        known = judge(name)
        if #name > MEMO_LONGEST then
            return known
        elseif memo_count >= MEMO_BOUND then
            memo, memo_count = {}, 0
        end
        memo[name], memo_count = known, memo_count + 1
    end
    return known
end

_M.is_secret = is_secret

--- Masks what looks like a signed token (JWS: base64url of a JSON object, and two parts more),
--- wherever it stands.
-- @param head string|nil: a pattern for what a token begins with, where that is not "eyJ"
function _M.tokens(text, head)
    if not head and not find(text, "eyJ", 1, true) then
        return text
    end
    head = head or "eyJ[%w_-]"
    local out, n, kept, position = nil, 0, 1, 1
    while true do
        local start = find(text, head, position)
        if not start then
            break
        end
        local _, last = find(text, "^[%w_-]+%.[%w_-]+", start)
        if last then
            _, last = find(text, "^%.?[%w_-]*", last + 1)
            out = out or {}
            out[n + 1], out[n + 2] = sub(text, kept, start - 1), MASK
            n, kept = n + 2, last + 1
            position = kept
        else
            -- No other head in this run has two parts either: to try them all takes the square.
            position = find(text, "[^%w_-]", start) or #text + 1
        end
    end
    if not out then
        return text
    end
    out[n + 1] = sub(text, kept)
    return concat(out)
end

local function parameter(name, value)
    return value ~= "" and is_secret(name) and ";" .. name .. "=" .. MASK or nil
end

--- Masks the secrets in a path: in parameters of its segments (RFC 3986 section 3.3), such as
-- ";jsessionid=", and tokens.
function _M.path(path)
    if find(path, ";", 1, true) then
        path = gsub(path, ";([^;=/]+)=([^;/]*)", parameter)
    end
    return _M.tokens(path)
end

local AMPERSAND, SEMICOLON, EQUALS = 0x26, 0x3B, 0x3D

--- Masks the secrets in a query.
-- @param query string: what follows the "?"
-- @return string: the same with the values of secret arguments masked
function _M.query(query)
    local out, n, kept = nil, 0, 1
    local start, equals = 1, nil
    local length = #query
    for i = 1, length + 1 do
        local b = byte(query, i)
        -- ";" separates arguments for some parsers, so a secret may begin after one.
        if b == AMPERSAND or b == SEMICOLON or not b then
            if equals and i > equals + 1 and is_secret(sub(query, start, equals - 1)) then
                out = out or {}
                out[n + 1] = sub(query, kept, equals)
                out[n + 2] = MASK
                n, kept = n + 2, i
            end
            start, equals = i + 1, nil
        elseif b == EQUALS and not equals then
            equals = i
        end
    end
    if out then
        out[n + 1] = sub(query, kept)
        query = concat(out)
    end
    return _M.tokens(query)
end

--- Masks the secrets in a target that was read.
-- @param read table: of target.parse
-- @return string: what may be shown; nil where that is the target as it came
function _M.read(read)
    local path, query = read.path, read.query
    local masked = _M.path(path)
    if query then
        local masked_query = _M.query(query)
        if masked ~= path or masked_query ~= query then
            return masked .. "?" .. masked_query
        end
    elseif masked ~= path then
        return masked
    end
    return nil
end

--- Masks the secrets in a raw target: path, or path?query, or a URL, which may have a password in
--- its authority (RFC 3986 section 3.2.1).
function _M.target(target)
    target = gsub(target, "^(%a[%w+.-]*://)[^/?#]*@", "%1" .. MASK .. "@")
    local question = find(target, "?", 1, true)
    if not question then
        return _M.path(target)
    end
    return _M.path(sub(target, 1, question)) .. _M.query(sub(target, question + 1))
end

return _M
