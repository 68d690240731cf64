--- The claims of an access token (RFC 7519 section 4.1, RFC 9068 section 2.2): types and times.
--
-- `read` checks what stays as it is, once; `refusal` checks against the clock, on every request.
-- A claim that is there but of a wrong type refuses the token: never is it passed over.

local json = require("bartizan.json")

local byte = string.byte
local find = string.find
local ipairs = ipairs
local sub = string.sub
local type = type

local _M = {}

-- RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), separated by one space.
local SPACE, QUOTE, BACKSLASH, DELETE = 0x20, 0x22, 0x5C, 0x7F
-- RFC 6749 appendix A.1: client-id = *VSCHAR, %x20-7E; it becomes a header's value, so no blank at
-- either end. The length bounds limiter keys and log lines.
local CLIENT_MAX_LENGTH = 255

-- RFC 7519 section 2: a NumericDate may have a fraction. Boxed numbers (1e400) are no number here.
local function is_date(value)
    return type(value) == "number" and value >= 0
end

-- RFC 7519 section 4.1.3: one string, or an array of strings. Returned as a set.
local function audiences_of(aud)
    if type(aud) == "string" then
        return { [aud] = true }
    elseif not json.is_array(aud) or #aud == 0 then
        return nil
    end
    local set = {}
    for _, audience in ipairs(aud) do
        if type(audience) ~= "string" then
            return nil
        end
        set[audience] = true
    end
    return set
end

local function belongs_to_scope(b)
    return b > SPACE and b < DELETE and b ~= QUOTE and b ~= BACKSLASH
end

-- RFC 9068 section 2.2.3.1: one string. Some issuers write "" where there is none.
-- Byte by byte here and below: LuaJIT compiles no patterns.
local function scopes_of(scope)
    local set = {}
    if scope == nil or scope == "" then
        return set
    elseif type(scope) ~= "string" then
        return nil
    end
    local start, length = 1, #scope
    for i = 1, length + 1 do
        local b = i <= length and byte(scope, i) or SPACE
        if b == SPACE then
            if i == start then
                return nil
            end
            set[sub(scope, start, i - 1)] = true
            start = i + 1
        elseif not belongs_to_scope(b) then
            return nil
        end
    end
    return set
end

--- Whether a text is one scope (RFC 6749 section 3.3).
function _M.is_scope(text)
    local set = not find(text, " ", 1, true) and scopes_of(text)
    return set and set[text] or false
end

local function is_client(text)
    local length = #text
    if length == 0 or length > CLIENT_MAX_LENGTH then
        return false
    end
    for i = 1, length do
        local b = byte(text, i)
        if b < SPACE or b >= DELETE then
            return false
        end
    end
    return byte(text, 1) ~= SPACE and byte(text, length) ~= SPACE
end

-- Who calls: RFC 9068's client_id; issuers that do not follow it name the client in azp (OpenID
-- Connect) or have nothing but sub.
local function client_of(claims)
    local client = claims.client_id
    if client == nil then
        client = claims.azp
    end
    if client == nil then
        client = claims.sub
    end
    if type(client) ~= "string" or not is_client(client) then
        return nil
    end
    return client
end

--- Checks the claims but for the time.
-- @param claims table: a payload, as JSON objects are decoded
-- @param issuer string: iss must be exactly this
-- @return table: {claims, client = string, scope = string, scopes = set, audiences = set,
--   expires, not_before = number|nil, issued_at = number|nil}
-- @return nil, string: why the token is refused
function _M.read(claims, issuer)
    if claims.iss ~= issuer then
        return nil, "iss is not the issuer"
    elseif not is_date(claims.exp) then
        return nil, "exp is no date"
    elseif claims.nbf ~= nil and not is_date(claims.nbf) then
        return nil, "nbf is no date"
    elseif claims.iat ~= nil and not is_date(claims.iat) then
        return nil, "iat is no date"
    elseif claims.jti ~= nil and type(claims.jti) ~= "string" then
        return nil, "jti is no string"
    elseif claims.sub ~= nil and type(claims.sub) ~= "string" then
        return nil, "sub is no string"
    elseif claims.cnf ~= nil then
        -- RFC 7800: only the holder of a key may use the token. That cannot be seen here, and as a
        -- bearer token it would be worth less than its issuer meant it to be.
        return nil, "cnf binds the token to a key"
    end
    local audiences = audiences_of(claims.aud)
    if not audiences then
        return nil, "aud is no string or list of strings"
    end
    local scopes = scopes_of(claims.scope)
    if not scopes then
        return nil, "scope is no list of scopes in a string"
    end
    local client = client_of(claims)
    if not client then
        return nil, "token names no usable client"
    end
    return {
        claims = claims,
        client = client,
        scope = claims.scope or "",
        scopes = scopes,
        audiences = audiences,
        expires = claims.exp,
        not_before = claims.nbf,
        issued_at = claims.iat,
    }
end

--- What the clock has against a token.
-- @param token table: of `read`
-- @param now number: seconds since 1970
-- @param skew number: by how many seconds the issuer's clock and ours may differ
-- @return nil: the token is valid now
-- @return string: why not
function _M.refusal(token, now, skew)
    local not_before, issued_at = token.not_before, token.issued_at
    -- RFC 7519 section 4.1.4: on or after exp it must not be accepted.
    if token.expires <= now - skew then
        return "token has expired"
    -- RFC 7519 section 4.1.5: at nbf itself it may be.
    elseif not_before and not_before > now + skew then
        return "token is not valid yet"
    -- Nobody can have issued it in the future: a broken clock, or a made-up token.
    elseif issued_at and issued_at > now + skew then
        return "token is issued in the future"
    end
    return nil
end

return _M
