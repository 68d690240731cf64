--- A signed token in compact serialisation (RFC 7515 section 3.1): checked, verified, read.
--
-- The order is: the shape of the whole, the header, the key, the signature, and only then the
-- payload. Nothing is taken from the header but the names of a type, an algorithm and a key.

local base64url = require("bartizan.jose.base64url")
local crypto = require("bartizan.jose.crypto")
local der = require("bartizan.jose.der")
local ffi = require("ffi")
local json = require("bartizan.json")
local jwk = require("bartizan.jose.jwk")

local cast = ffi.cast
local decode_to = base64url.decode_to
local ffi_string = ffi.string
local find = string.find
local gsub = string.gsub
local ipairs = ipairs
local is_kid = jwk.is_kid
local is_letter = base64url.is_letter
local lower = string.lower
local read_json = json.read
local sub = string.sub
local type = type
local verify_signature = crypto.verify

local _M = {}

--- The longest token, in bytes. Longer ones are refused before anything is read.
_M.MAX_BYTES = 8192

local DOT = 0x2E

-- The header of all tokens of a key is one text with most issuers. It is judged once, which spares
-- the others 8,000 instructions, a third of what a new token costs besides OpenSSL.
local KNOWN_BOUND, KNOWN_LONGEST = 64, 512

-- RFC 7515 section 4.1, RFC 7797, RFC 7516: members that bring a key along or point to one, change
-- what was signed, or compress it. RFC 8725 sections 3.9 and 3.10 warn of most of them. `crit`
-- must be refused by whoever does not understand what it lists (RFC 7515 section 4.1.11).
local FORBIDDEN = {
    "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc", "epk",
}

-- What the part at hand decodes to, with a zero byte behind it. Nothing here yields.
local buffer = ffi.new("uint8_t[?]", base64url.room(_M.MAX_BYTES) + 1)

local bytes_of = ffi.typeof("const uint8_t *")

-- The positions of the two dots of a token of three parts, none of them empty, in one alphabet.
local function split(token)
    local length = #token
    if length > _M.MAX_BYTES then
        return nil, "token is longer than 8 KiB"
    end
    local letters = cast(bytes_of, token)
    local first, second
    for i = 1, length do
        local b = letters[i - 1]
        if b == DOT then
            if second then
                return nil, "token has more than three parts"
            elseif first then
                second = i
            else
                first = i
            end
        elseif not is_letter(b) then
            return nil, "token is not base64url"
        end
    end
    if not second then
        return nil, "token has fewer than three parts"
    elseif first == 1 or second == first + 1 or second == #token then
        return nil, "token has an empty part"
    end
    return first, second
end

-- `from` counts from 0.
local function read_object(token, from, length, part)
    local n, err = decode_to(buffer, token, from, length)
    if not n then
        return nil, part .. ": " .. err
    end
    buffer[n] = 0
    local object
    object, err = read_json(buffer, n, json.TOKEN)
    if not json.is_object(object) then
        return nil, part .. ": " .. (err or "no JSON object")
    end
    return object
end

--- The form in which types are compared: lower case, without `application/` (RFC 7515 section
-- 4.1.9: it may be left out; media types have no case, RFC 2045 section 5.1).
function _M.normal_type(typ)
    return (gsub(lower(typ), "^application/", ""))
end

-- The key that the header names, once the header is in order.
local function key_of(header, keys, types)
    for _, member in ipairs(FORBIDDEN) do
        if header[member] ~= nil then
            return nil, "header has " .. member
        end
    end
    -- RFC 8725 section 3.11: a token of another kind (an ID token, a DPoP proof) is none of ours.
    if type(header.typ) ~= "string" then
        return nil, "header has no typ"
    elseif not types[_M.normal_type(header.typ)] then
        return nil, "typ is not of an access token"
    elseif not is_kid(header.kid) then
        return nil, "header has no usable kid"
    end
    local key = keys[header.kid]
    if not key then
        return nil, "kid is unknown", true
    end
    -- RFC 8725 section 3.1: the key has one algorithm, and the header must say that very name.
    if header.alg ~= key.alg then
        return nil, "alg is not the key's"
    end
    return key
end

-- RFC 7518 section 3.4: r and s side by side, each of the full length; OpenSSL takes DER.
local function ecdsa_signature(raw, size)
    if #raw ~= size then
        return nil
    end
    local r, s = sub(raw, 1, size / 2), sub(raw, size / 2 + 1)
    -- FIPS 186-5 section 6.4.2: from 1 to n - 1. OpenSSL checks it all; a blank signature was a
    -- master key elsewhere (CVE-2022-21449), so zero does not even get that far.
    if not find(r, "%Z") or not find(s, "%Z") then
        return nil
    end
    return der.sequence(der.integer(r), der.integer(s))
end

--- Makes ready to verify tokens.
-- @param keys table: from kid to key, of keyset.parse
-- @param types table: a set of the admitted types in their normal form
-- @return table: for `verify`
function _M.verifier(keys, types)
    return { keys = keys, types = types, known = {}, known_count = 0 }
end

-- Only of a token that verified: nobody but the issuer can fill the memory.
local function remember(verifier, header, key)
    if #header > KNOWN_LONGEST then
        return
    elseif verifier.known_count >= KNOWN_BOUND then
        verifier.known, verifier.known_count = {}, 0
    end
    verifier.known[header], verifier.known_count = key, verifier.known_count + 1
end

--- Verifies a token and reads its payload.
-- @param verifier table: of `verifier`
-- @param token string
-- @return table: the claims, a JSON object; nothing in it is checked yet
-- @return nil, string: why the token is refused, for the audit log
-- @return nil, string, true: the same; its kid is well-formed, but no key's
function _M.verify(verifier, token)
    local first, second = split(token)
    if not first then
        return nil, second
    end
    local encoded = sub(token, 1, first - 1)
    local key = verifier.known[encoded]
    local is_known = key ~= nil
    if not is_known then
        local header, err = read_object(token, 0, first - 1, "header")
        if not header then
            return nil, err
        end
        local unknown
        key, err, unknown = key_of(header, verifier.keys, verifier.types)
        if not key then
            return nil, err, unknown
        end
    end
    local size, err = decode_to(buffer, token, second, #token - second)
    if not size then
        return nil, "signature: " .. err
    end
    local signature = buffer
    if key.raw_size then
        signature = ecdsa_signature(ffi_string(buffer, size), key.raw_size)
        if not signature then
            return nil, "signature is no r and s of the curve"
        end
        size = #signature
    end
    -- RFC 7515 section 5.2: what was signed is the text before the second dot.
    if not verify_signature(key.verifier, token, second - 1, signature, size) then
        return nil, "signature does not verify"
    end
    if not is_known then
        remember(verifier, encoded, key)
    end
    return read_object(token, first, second - first - 1, "payload")
end

return _M
