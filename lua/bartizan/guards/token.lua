--- Lets in whoever brings a good access token of the route's issuer (RFC 6750, RFC 9068).
--
-- Settings: issuer: its name in shared.issuers. audience: what aud must contain. scopes: an array,
--     all of which the token must have.
-- Verdicts:
--     503 keys_unavailable    there are no keys to verify anything with; never 401 then
--     401 token_missing       no Bearer token came. No error attribute: RFC 6750 section 3.1
--     400 bad_request         two Authorization headers: two readings
--     401 token_invalid       whatever is wrong with it; which, only the audit log says
--     403 insufficient_scope  it is good, but lacks a scope; the answer names what is needed
-- Sets on the request: client, scopes (a string) and claims, as soon as the token is good for here.
--
-- The token comes in the Authorization header (RFC 6750 section 2.1) and nowhere else. Query, body
-- and cookies are never looked at: a token there alone is a missing token, and beside one in the
-- header it is just a parameter of the application.
--
-- A token that was verified once is remembered by the whole header value, in each worker, for as
-- long as the keys stay the same. Times, audience and scopes are checked on every request.

local claims = require("bartizan.jose.claims")

local concat = table.concat
local error = error
local find = string.find
local format = string.format
local gsub = string.gsub
local ipairs = ipairs
local lower = string.lower
local refusal = claims.refusal
local sub = string.sub
local tostring = tostring
local type = type

local ngx_time = ngx.time

local BEARER = "Bearer "

-- RFC 9110 section 5.6.4.
local function quoted(text)
    return '"' .. gsub(text, '[\\"]', "\\%0") .. '"'
end

local function new(settings, shared)
    local issuer = shared.issuers[settings.issuer]
    if not issuer then
        error("token: there is no issuer " .. tostring(settings.issuer), 0)
    end
    local audience, scopes = settings.audience, settings.scopes
    -- It stands in a header field, so it must be plain (RFC 9110 section 5.5).
    if type(audience) ~= "string" or not find(audience, "^[\32-\126]+$") then
        error("token: audience must be a text of printable ASCII", 0)
    elseif type(scopes) ~= "table" then
        error("token: scopes must be a list", 0)
    end
    local needed = {}
    for i, scope in ipairs(scopes) do
        if type(scope) ~= "string" or not claims.is_scope(scope) then
            error("token: " .. tostring(scope) .. " is no scope (RFC 6749 section 3.3)", 0)
        end
        needed[i] = scope
    end
    -- The realm is what the token must be for, so a client can tell which one to get.
    local challenge = "Bearer realm=" .. quoted(audience)
    return {
        issuer = issuer,
        verified = issuer.verified,
        audience = audience,
        scopes = needed,
        challenge = { ["WWW-Authenticate"] = challenge },
        invalid = { ["WWW-Authenticate"] = challenge .. ', error="invalid_token"' },
        malformed = { ["WWW-Authenticate"] = challenge .. ', error="invalid_request"' },
        insufficient = {
            ["WWW-Authenticate"] = challenge .. ', error="insufficient_scope", scope='
                .. quoted(concat(needed, " ")),
        },
    }
end

local function unavailable(guard)
    return {
        status = 503,
        code = "keys_unavailable",
        reason = "there are no keys of the issuer " .. guard.issuer.name,
        headers = { ["Retry-After"] = format("%d", guard.issuer:retry_after()) },
    }
end

local function missing(guard, reason)
    return { status = 401, code = "token_missing", reason = reason, headers = guard.challenge }
end

local function invalid(guard, reason)
    return { status = 401, code = "token_invalid", reason = reason, headers = guard.invalid }
end

-- Verifies what is not remembered. Returns the token's facts, or nil and a verdict.
local function verify(guard, authorization)
    if authorization == nil then
        return nil, missing(guard, "no Authorization header")
    elseif type(authorization) == "table" then
        return nil, { status = 400, code = "bad_request", reason = "two Authorization headers",
                      headers = guard.malformed }
    end
    local scheme = sub(authorization, 1, #BEARER)
    if scheme ~= BEARER and lower(scheme) ~= "bearer " then
        -- RFC 9110 section 11.1: the scheme has no case, and ends at a space or with the value.
        if lower(authorization) == "bearer" then
            return nil, invalid(guard, "no token behind Bearer")
        end
        return nil, missing(guard, "Authorization is of another scheme")
    end
    local facts, reason = guard.issuer:verify(sub(authorization, #BEARER + 1))
    if not facts then
        return nil, invalid(guard, reason)
    end
    guard.verified:set(authorization, facts)
    return facts
end

local function lacks_scope(guard, facts)
    local needed, granted = guard.scopes, facts.scopes
    for i = 1, #needed do
        if not granted[needed[i]] then
            return needed[i]
        end
    end
    return nil
end

local function check(guard, request)
    local issuer = guard.issuer
    if not issuer.keys then
        issuer:pick_up()
        if not issuer.keys then
            return unavailable(guard)
        end
    end
    local authorization = request.authorization
    local facts = authorization and guard.verified:get(authorization)
    if not facts then
        local verdict
        facts, verdict = verify(guard, authorization)
        if not facts then
            return verdict
        end
    end
    local reason = refusal(facts, ngx_time(), issuer.skew)
    if reason then
        return invalid(guard, reason)
    elseif not facts.audiences[guard.audience] then
        return invalid(guard, "aud does not name " .. guard.audience)
    end
    request.client = facts.client
    request.scopes = facts.scope
    request.claims = facts.claims
    local lacking = lacks_scope(guard, facts)
    if lacking then
        return { status = 403, code = "insufficient_scope", headers = guard.insufficient,
                 reason = "token lacks the scope " .. lacking }
    end
    return nil
end

local function start(guard)
    guard.issuer:start()
end

return { name = "token", new = new, check = check, start = start }
