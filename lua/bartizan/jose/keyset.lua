--- A JWK Set (RFC 7517 section 5): taken as a whole, or not at all.
--
-- RFC 7517 lets a reader skip keys that it does not understand. Here a set with a key that is not
-- sound is refused, because it came from someone who makes mistakes or mischief, and there is an
-- older set to go on with.

local json = require("bartizan.json")
local jwk = require("bartizan.jose.jwk")

local format = string.format
local import = jwk.import
local ipairs = ipairs
local next = next

local _M = {}

--- The longest text that is a set: as many RSA keys of 4096 bits with certificates fit.
_M.MAX_BYTES = 262144
-- OpenSSL's check of an RSA key takes 16 to 55 ms, in which the worker does nothing else.
local MAX_KEYS = 32
-- key_ops and x5c are arrays in a key in an array in an object.
local LIMITS = { depth = 8, count = 10000, exact = false }

--- Reads a set.
-- @param text string: the issuer's answer
-- @param algorithms table: an array of the names of the algorithms that the policy admits, known
--   to jwk.ALGORITHMS
-- @param checked boolean: this very text was parsed before, in this gateway (see jwk.import)
-- @return table: from kid to key, as jwk.import made it; never empty. Sound keys for algorithms
--   that the policy does not admit are left out
-- @return nil, string: why the set is refused
function _M.parse(text, algorithms, checked)
    if #text > _M.MAX_BYTES then
        return nil, format("the set is longer than %d bytes", _M.MAX_BYTES)
    end
    local set, err = json.decode(text, LIMITS)
    if not json.is_object(set) then
        return nil, "the set is no JSON object" .. (err and ": " .. err or "")
    elseif not json.is_array(set.keys) then
        return nil, "the set has no array of keys"
    elseif #set.keys > MAX_KEYS then
        return nil, format("the set has more than %d keys", MAX_KEYS)
    end

    local admitted = {}
    for _, name in ipairs(algorithms) do
        admitted[name] = true
    end
    local seen, keys = {}, {}
    for i, member in ipairs(set.keys) do
        local key
        key, err = import(member, algorithms, checked)
        if not key then
            return nil, format("key %d of %d %s", i, #set.keys, err)
        elseif seen[key.kid] then
            -- Which of two a token means would depend on the reader.
            return nil, format("key %d of %d has the kid of another", i, #set.keys)
        end
        seen[key.kid] = true
        if admitted[key.alg] then
            keys[key.kid] = key
        end
    end
    if not next(keys) then
        return nil, #set.keys == 0 and "the set is empty"
            or "the set has no key for the algorithms that the policy admits"
    end
    return keys
end

return _M
