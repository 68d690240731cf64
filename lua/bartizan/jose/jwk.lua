--- One JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037): checked, and made ready to verify.
--
-- The key decides the algorithm, never the token (RFC 8725 section 3.1): a key leaves here with
-- exactly one. Symmetric keys, private keys and keys for anything but signatures are refused.

local base64url = require("bartizan.jose.base64url")
local crypto = require("bartizan.jose.crypto")
local der = require("bartizan.jose.der")
local json = require("bartizan.json")

local byte = string.byte
local decode = base64url.decode
local find = string.find
local ipairs = ipairs
local pairs = pairs
local type = type

local _M = {}

--- What a signature algorithm needs (RFC 7518 section 3.1, RFC 8037 section 3.1). There is no
-- HMAC and no "none". `size` is the length of a coordinate, and so half that of a raw signature.
_M.ALGORITHMS = {
    RS256 = { kty = "RSA", digest = "SHA256" },
    RS384 = { kty = "RSA", digest = "SHA384" },
    RS512 = { kty = "RSA", digest = "SHA512" },
    PS256 = { kty = "RSA", digest = "SHA256", pss = true },
    PS384 = { kty = "RSA", digest = "SHA384", pss = true },
    PS512 = { kty = "RSA", digest = "SHA512", pss = true },
    ES256 = { kty = "EC", digest = "SHA256", crv = "P-256", size = 32 },
    ES384 = { kty = "EC", digest = "SHA384", crv = "P-384", size = 48 },
    ES512 = { kty = "EC", digest = "SHA512", crv = "P-521", size = 66 },
    EdDSA = { kty = "OKP", crv = "Ed25519", size = 32 },
}
local ALGORITHMS = _M.ALGORITHMS

-- RFC 7518 sections 3.3 and 3.5: 2048 bits or more. The upper bounds keep an issuer from making
-- each verification dear; for large moduli OpenSSL itself wants e within 64 bits.
local RSA_MIN_BITS, RSA_MAX_BITS = 2048, 4096
local RSA_MAX_EXPONENT_BYTES = 8

-- RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1: what only a private or symmetric key has.
local PRIVATE_MEMBERS = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" }

-- The content of the object identifiers of RFC 8017 A.1, RFC 5480 2.1.1 and RFC 8410 3.
local RSA_ENCRYPTION = der.object_identifier("\42\134\72\134\247\13\1\1\1")
local EC_PUBLIC_KEY = der.object_identifier("\42\134\72\206\61\2\1")
local ED25519 = der.object_identifier("\43\101\112")
local CURVES = {
    ["P-256"] = der.object_identifier("\42\134\72\206\61\3\1\7"),
    ["P-384"] = der.object_identifier("\43\129\4\0\34"),
    ["P-521"] = der.object_identifier("\43\129\4\0\35"),
}
local UNCOMPRESSED_POINT = "\4"

-- One pattern for kid, in a key and in a token's header: RFC 7638 thumbprints, and what issuers
-- use besides (base64, UUIDs, URNs). It is only ever looked up in a table.
local KID_MAX_LENGTH = 256

--- Whether a value may be a key's identifier.
function _M.is_kid(kid)
    return type(kid) == "string" and #kid <= KID_MAX_LENGTH and find(kid, "^[%w%-._~+/=:]+$") ~= nil
end

-- RFC 7518 section 2: a Base64urlUInt has no leading zero bytes, so a number has one text.
local function unsigned(text)
    local bytes = type(text) == "string" and decode(text)
    if not bytes or bytes == "" or byte(bytes) == 0 then
        return nil
    end
    return bytes
end

-- Coordinates have the full length of the curve (RFC 7518 section 6.2.1.2, RFC 8037 section 2).
local function coordinate(text, size)
    local bytes = type(text) == "string" and decode(text)
    return bytes and #bytes == size and bytes or nil
end

-- Each makes a SubjectPublicKeyInfo of a key's members, or returns nil and what is wrong.
local SPKI = {}

function SPKI.RSA(jwk)
    local n, e = unsigned(jwk.n), unsigned(jwk.e)
    if not n or not e then
        return nil, "n and e must be base64url integers"
    elseif #n * 8 > RSA_MAX_BITS then
        return nil, "RSA modulus is too long"
    elseif #e > RSA_MAX_EXPONENT_BYTES or byte(e, -1) % 2 == 0 or e == "\1" then
        -- e = 1 makes every message its own signature; RFC 8017 section 3.1: odd, from 3 on.
        return nil, "RSA exponent must be odd, from 3 to 64 bits"
    end
    return der.sequence(der.sequence(RSA_ENCRYPTION, der.null()),
                        der.bit_string(der.sequence(der.integer(n), der.integer(e))))
end

function SPKI.EC(jwk, algorithm)
    local x, y = coordinate(jwk.x, algorithm.size), coordinate(jwk.y, algorithm.size)
    if not x or not y then
        return nil, "x and y must be coordinates of the curve's full length"
    end
    return der.sequence(der.sequence(EC_PUBLIC_KEY, CURVES[algorithm.crv]),
                        der.bit_string(UNCOMPRESSED_POINT .. x .. y))
end

function SPKI.OKP(jwk, algorithm)
    local x = coordinate(jwk.x, algorithm.size)
    if not x then
        return nil, "x must be 32 bytes"
    end
    return der.sequence(der.sequence(ED25519), der.bit_string(x))
end

-- RFC 7517 sections 4.2 and 4.3: absent, or saying that the key is there to verify.
local function is_for_signatures(jwk)
    if jwk.use ~= nil and jwk.use ~= "sig" then
        return false
    elseif jwk.key_ops ~= nil then
        return json.is_array(jwk.key_ops) and #jwk.key_ops == 1 and jwk.key_ops[1] == "verify"
    end
    return true
end

-- The algorithm of a key: the one it names; otherwise the only one that the policy admits and
-- that the key's type and curve can do. More than one would leave the choice to the token.
local function algorithm_of(jwk, admitted)
    if jwk.alg ~= nil then
        if type(jwk.alg) ~= "string" or not ALGORITHMS[jwk.alg] then
            return nil, "alg is no signature algorithm with a public key"
        end
        return jwk.alg
    end
    local found
    for _, name in ipairs(admitted) do
        local algorithm = ALGORITHMS[name]
        if algorithm.kty == jwk.kty and algorithm.crv == jwk.crv then
            if found then
                return nil, "names no alg, and the policy admits more than one for it"
            end
            found = name
        end
    end
    if not found then
        return nil, "names no alg, and the policy admits none for it"
    end
    return found
end

--- Checks a key and makes it ready.
-- @param jwk any: what JSON had in its place
-- @param admitted table: an array of the names of the algorithms that the policy admits
-- @param checked boolean: this very key was imported before, in this gateway: OpenSSL's own check,
--   which holds up a worker for milliseconds, is left out
-- @return table: {kid, alg, verifier = for crypto.verify, raw_size = a raw ECDSA signature's length
--   or nil}. `alg` can be one that is not admitted: then the key is sound, but nobody's token may
--   use it
-- @return nil, string: why the key is refused
function _M.import(jwk, admitted, checked)
    if not json.is_object(jwk) then
        return nil, "is no object"
    elseif jwk.kty == "oct" then
        return nil, "is symmetric"
    elseif type(jwk.kty) ~= "string" or not SPKI[jwk.kty] then
        return nil, "kty is none of RSA, EC, OKP"
    elseif not _M.is_kid(jwk.kid) then
        return nil, "has no usable kid"
    end
    for _, member in pairs(PRIVATE_MEMBERS) do
        if jwk[member] ~= nil then
            return nil, "has private members"
        end
    end
    if not is_for_signatures(jwk) then
        return nil, "use or key_ops is not for verifying signatures"
    end
    local alg, err = algorithm_of(jwk, admitted)
    if not alg then
        return nil, err
    end
    local algorithm = ALGORITHMS[alg]
    if algorithm.kty ~= jwk.kty or algorithm.crv ~= jwk.crv then
        return nil, "kty or crv does not fit " .. alg
    end

    local spki, key, sound, verifier
    spki, err = SPKI[jwk.kty](jwk, algorithm)
    if not spki then
        return nil, err
    end
    key, err = crypto.load_public_key(spki)
    if not key then
        return nil, err
    elseif jwk.kty == "RSA" and crypto.bits(key) < RSA_MIN_BITS then
        return nil, "RSA modulus is shorter than 2048 bits"
    end
    if not checked then
        sound, err = crypto.check(key)
        if not sound then
            return nil, err
        end
    end
    verifier, err = crypto.verifier(key, algorithm.digest, algorithm.pss)
    if not verifier then
        return nil, err
    end
    local raw_size = algorithm.kty == "EC" and algorithm.size * 2 or nil
    return { kid = jwk.kid, alg = alg, verifier = verifier, raw_size = raw_size }
end

return _M
