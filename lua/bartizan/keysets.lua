--- Issuers, and their keys: fetched in timers, never in a request, and shared by all workers.
--
--     issuer = keysets.new(settings, shared)     once, in init_by_lua
--     issuer:start()                             in each worker, as often as you like
--     issuer.keys                                from kid to key; nil as long as there are none
--     issuer:verify(token)                       the token's facts, or why it is refused
--     issuer.verified                            remembers what `verify` returned; it is emptied
--                                                when other keys are installed
--     issuer:retry_after()                       seconds until the next fetch, while keys is nil
--     issuer:status()                            {issuer, keys = count, generation, age = seconds,
--                                                due = seconds, failures = in a row, error = text}
--
-- Every worker looks once a second whether another has published a set of a new generation.

local claims = require("bartizan.jose.claims")
local clock = require("bartizan.clock")
local disk = require("bartizan.keysets.disk")
local jwk = require("bartizan.jose.jwk")
local jws = require("bartizan.jose.jws")
local keyset = require("bartizan.jose.keyset")
local refresh = require("bartizan.keysets.refresh")
local remembered = require("bartizan.keysets.remembered")
local shared_state = require("bartizan.keysets.state")

local ceil = math.ceil
local error = error
local ipairs = ipairs
local match = string.match
local max = math.max
local min = math.min
local now = clock.now
local pairs = pairs
local read_claims = claims.read
local setmetatable = setmetatable
local tostring = tostring
local type = type
local verify_token = jws.verify

local ngx = ngx
local log = ngx.log
local ngx_time = ngx.time
local ERR, WARN = ngx.ERR, ngx.WARN

local _M = {}
local Issuer = {}
Issuer.__index = Issuer

local SECOND = 1000000
local RETRY_AFTER_MAX = 30

--- Makes keys the ones that count from now on. Tokens are remembered for the keys that verified
-- them, so they are forgotten in the same breath.
function Issuer:install(keys, generation)
    local count = 0
    for _ in pairs(keys) do
        count = count + 1
    end
    self.keys, self.count, self.generation, self.current = keys, count, generation, true
    self.verifier = jws.verifier(keys, self.types)
    self.verified:forget()
end

--- Takes over the set that another worker, or the time before a reload, has published.
function Issuer:pick_up()
    local generation = self.state:get("generation")
    if not generation or generation == self.generation then
        return
    end
    local keys, err = keyset.parse(self.state:get("set") or "", self.algorithms, true)
    if keys then
        self:install(keys, generation)
    else
        -- It was sound for the algorithms that the policy admitted before a reload.
        self.generation, self.current = generation, false
        log(WARN, "issuer ", self.name, ": the shared key set is not taken over: ", err)
    end
end

-- Begins with what is known: in shared memory after a reload, on disk after a restart.
local function restore(issuer)
    local state = issuer.state
    if state:get("generation") then
        issuer:pick_up()
        if not issuer.current then
            state:put("due", 0)
        end
        return
    end
    local set, detail = disk.load(issuer.remember_file, issuer.iss, issuer.jwks)
    if not set and not detail then
        return
    end
    local keys, err = nil, detail
    if set then
        keys, err = keyset.parse(set, issuer.algorithms)
    end
    if keys then
        state:note("confirmed", now() - max(0, ngx_time() - detail) * SECOND)
        issuer:install(keys, state:publish(set))
    else
        log(ERR, "issuer ", issuer.name, ": the remembered key set is not used: ", err)
    end
end

--- Fetches in this worker from now on, when it is due and no other worker does.
function Issuer:start()
    if not self.started then
        self.started = true
        refresh.start(self)
    end
end

--- Verifies a token; `keys` must be there. Costs one signature at most.
-- @param token string
-- @return table: its facts, as claims.read returns them; times, audience and scopes are not checked
-- @return nil, string: why it is refused
function Issuer:verify(token)
    local payload, err, unknown_kid = verify_token(self.verifier, token)
    if unknown_kid then
        -- The set with this kid may be published, and not seen here yet.
        local generation = self.generation
        self:pick_up()
        if self.generation ~= generation then
            payload, err, unknown_kid = verify_token(self.verifier, token)
        end
        if unknown_kid then
            self.state:ask(now())
        end
    end
    if not payload then
        return nil, err
    end
    return read_claims(payload, self.iss)
end

--- While there are no keys: when it is worth coming back.
-- @return number: whole seconds, from 1 to 30
function Issuer:retry_after()
    local due = self.state:get("due") or 0
    return max(1, min(ceil((due - now()) / SECOND), RETRY_AFTER_MAX))
end

--- What an operator wants to know; see the head of this file. age, due and error can be absent.
function Issuer:status()
    local state = self.state
    local confirmed, due = state:get("confirmed"), state:get("due")
    return {
        issuer = self.iss,
        keys = self.count,
        generation = self.generation,
        age = confirmed and (now() - confirmed) / SECOND,
        due = due and max(0, (due - now()) / SECOND),
        failures = state:get("failures") or 0,
        error = state:get("error"),
    }
end

local function text_of(settings, name)
    local value = settings[name]
    if type(value) ~= "string" or value == "" then
        error("issuer: " .. name .. " must be a text", 0)
    end
    return value
end

--- Makes an issuer, with the keys that are known already.
-- @param settings table: of edge.json: issuer, jwks, algorithms, types, skew, fetch_path,
--   remember_file
-- @param shared table: keys (the shared dict) and settings.fetch_socket
-- @return table: see the head of this file
-- Raises a sentence where the settings are not usable.
function _M.new(settings, shared)
    local iss, jwks = text_of(settings, "issuer"), text_of(settings, "jwks")
    local fetch_path = text_of(settings, "fetch_path")
    local name = match(fetch_path, "[^/]+$")
    for _, algorithm in ipairs(settings.algorithms) do
        if not jwk.ALGORITHMS[algorithm] then
            error("issuer " .. name .. ": unknown algorithm " .. tostring(algorithm), 0)
        end
    end
    local types = {}
    for _, typ in ipairs(settings.types) do
        types[jws.normal_type(typ)] = true
    end
    local issuer = setmetatable({
        name = name,
        iss = iss,
        jwks = jwks,
        algorithms = settings.algorithms,
        types = types,
        skew = settings.skew,
        fetch_path = fetch_path,
        remember_file = text_of(settings, "remember_file"),
        socket = text_of(shared.settings, "fetch_socket"),
        -- Another issuer or address under the same name is another issuer: see disk.lua.
        state = shared_state.new(shared.keys, name .. "|" .. iss .. "|" .. jwks .. "|"),
        keys = nil,
        count = 0,
        generation = 0,
        current = false,        -- whether keys are those of the shared generation
        verified = remembered.new(),
        started = false,
    }, Issuer)
    restore(issuer)
    return issuer
end

return _M
