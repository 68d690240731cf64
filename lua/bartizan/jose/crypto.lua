--- Signatures by OpenSSL: the one thin file over libcrypto's EVP calls.
--
-- It loads public keys, and verifies; and it hashes. There is no secret in it, and no algorithm of
-- its own.

local ffi = require("ffi")

local C = ffi.C
local cast = ffi.cast
local error = error
local ffi_gc = ffi.gc
local ffi_new = ffi.new
local ffi_string = ffi.string
local pcall = pcall
local tonumber = tonumber

-- Struct names are OpenSSL's own and nothing is typedef'ed, so that another module may declare the
-- same functions: LuaJIT admits equal declarations, but no second typedef.
ffi.cdef([[
unsigned long OpenSSL_version_num(void);
void ERR_clear_error(void);
int RAND_bytes(unsigned char *buffer, int length);

struct evp_pkey_st *d2i_PUBKEY(struct evp_pkey_st **key, const unsigned char **in, long length);
void EVP_PKEY_free(struct evp_pkey_st *key);
int EVP_PKEY_get_bits(const struct evp_pkey_st *key);

struct evp_pkey_ctx_st *EVP_PKEY_CTX_new(struct evp_pkey_st *key, struct engine_st *engine);
void EVP_PKEY_CTX_free(struct evp_pkey_ctx_st *context);
int EVP_PKEY_public_check(struct evp_pkey_ctx_st *context);
int EVP_PKEY_CTX_set_rsa_padding(struct evp_pkey_ctx_st *context, int padding);
int EVP_PKEY_CTX_set_rsa_pss_saltlen(struct evp_pkey_ctx_st *context, int length);

const struct evp_md_st *EVP_get_digestbyname(const char *name);
struct evp_md_ctx_st *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(struct evp_md_ctx_st *context);
int EVP_MD_CTX_copy_ex(struct evp_md_ctx_st *out, const struct evp_md_ctx_st *in);
int EVP_DigestVerifyInit(struct evp_md_ctx_st *context, struct evp_pkey_ctx_st **key_context,
                         const struct evp_md_st *digest, struct engine_st *engine,
                         struct evp_pkey_st *key);
int EVP_DigestVerify(struct evp_md_ctx_st *context, const unsigned char *signature,
                     size_t signature_length, const unsigned char *message, size_t length);
int EVP_Digest(const void *data, size_t length, unsigned char *hash, unsigned int *hash_length,
               const struct evp_md_st *digest, struct engine_st *engine);
]])

local OPENSSL_3 = 0x30000000
local RSA_PKCS1_PSS_PADDING = 6
local RSA_PSS_SALTLEN_DIGEST = -1

-- nginx has libcrypto loaded, be it as a shared library or linked in: that very one is used, so
-- that there are never two in a process. Elsewhere (tests) it is loaded by its name.
local lib = C
if not pcall(function() return C.EVP_DigestVerify end) then
    lib = ffi.load("libcrypto.so.3")
end
if tonumber(lib.OpenSSL_version_num()) < OPENSSL_3 then
    error("OpenSSL 3 is needed; the libcrypto that is loaded is older", 0)
end

local _M = {}

-- What a failed call left in OpenSSL's error queue would turn up in a later, unrelated report
-- (nginx logs the queue after a TLS error).
local function failed()
    lib.ERR_clear_error()
    return nil
end

--- Loads a public key. That a point lies on its curve is checked by loading it.
-- @param spki string: a SubjectPublicKeyInfo (RFC 5280 section 4.1) in DER
-- @return cdata: the key, freed when it is garbage
-- @return nil, string
function _M.load_public_key(spki)
    local cursor = ffi_new("const unsigned char *[1]", cast("const unsigned char *", spki))
    local key = lib.d2i_PUBKEY(nil, cursor, #spki)
    if key == nil then
        return failed(), "OpenSSL cannot read the key"
    end
    return ffi_gc(key, lib.EVP_PKEY_free)
end

--- Has OpenSSL check a key. An RSA modulus must be odd, without small factors, and no prime, as
-- NIST SP 800-89 section 5.3.3 has it, which takes 16 ms for 2048 bits.
-- @return true
-- @return nil, string
function _M.check(key)
    local context = ffi_gc(lib.EVP_PKEY_CTX_new(key, nil), lib.EVP_PKEY_CTX_free)
    if lib.EVP_PKEY_public_check(context) ~= 1 then
        return failed(), "OpenSSL finds the key not valid"
    end
    return true
end

--- The size of a key: an RSA key's modulus in bits.
function _M.bits(key)
    return lib.EVP_PKEY_get_bits(key)
end

--- Makes ready to verify with a key. What can be done once for all signatures is done here.
-- @param key cdata: of load_public_key
-- @param digest string|nil: OpenSSL's name, as SHA256; nil where the algorithm brings its own
-- @param pss boolean: RSASSA-PSS with a salt as long as the digest (RFC 7518 section 3.5)
-- @return cdata: for `verify`; keeps the key alive, freed when it is garbage
-- @return nil, string
function _M.verifier(key, digest, pss)
    local context = ffi_gc(lib.EVP_MD_CTX_new(), lib.EVP_MD_CTX_free)
    local key_context = ffi_new("struct evp_pkey_ctx_st *[1]")
    local md = nil
    if digest then
        md = lib.EVP_get_digestbyname(digest)
        if md == nil then
            return failed(), "OpenSSL has no digest " .. digest
        end
    end
    if lib.EVP_DigestVerifyInit(context, key_context, md, nil, key) ~= 1 then
        return failed(), "OpenSSL cannot verify with the key"
    end
    if pss and (lib.EVP_PKEY_CTX_set_rsa_padding(key_context[0], RSA_PKCS1_PSS_PADDING) ~= 1 or
                lib.EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context[0], RSA_PSS_SALTLEN_DIGEST) ~= 1)
    then
        return failed(), "OpenSSL cannot use the key for PSS"
    end
    return context
end

-- The copy of a verifier that the next verification uses up. Nothing yields in between.
local working = ffi_gc(lib.EVP_MD_CTX_new(), lib.EVP_MD_CTX_free)

--- Verifies one signature.
-- @param verifier cdata: of `verifier`
-- @param message string: its first `length` bytes were signed
-- @param length number
-- @param signature string|cdata: as OpenSSL takes it (ECDSA: DER)
-- @param signature_length number
-- @return boolean: whether the signature is the key's
-- Raises where OpenSSL has no memory.
function _M.verify(verifier, message, length, signature, signature_length)
    if lib.EVP_MD_CTX_copy_ex(working, verifier) ~= 1 then
        failed()
        error("OpenSSL could not copy a context")
    end
    -- 0 is a wrong signature, a negative number one that is none at all: both are not the key's.
    if lib.EVP_DigestVerify(working, signature, signature_length, message, length) == 1 then
        return true
    end
    failed()
    return false
end

local hash_bytes = ffi_new("unsigned char[64]") -- EVP_MAX_MD_SIZE
local hash_length = ffi_new("unsigned int[1]")

--- Makes a hash function.
-- @param digest string: OpenSSL's name, as SHA1; one that it does not know raises an error
-- @return function: from a string to its hash, in bytes; raises where OpenSSL refuses the digest
function _M.hash(digest)
    local md = lib.EVP_get_digestbyname(digest)
    if md == nil then
        failed()
        error("OpenSSL has no digest " .. digest, 2)
    end
    return function(text)
        if lib.EVP_Digest(text, #text, hash_bytes, hash_length, md, nil) ~= 1 then
            failed()
            error("OpenSSL cannot hash with " .. digest)
        end
        return ffi_string(hash_bytes, hash_length[0])
    end
end

local random_bytes = ffi_new("unsigned char[4]")

--- A random number for jitter. Lua's own generator begins alike in every process of every gateway.
-- @return number: from 0 up to, but not, 1
function _M.random()
    if lib.RAND_bytes(random_bytes, 4) ~= 1 then
        failed()
        error("OpenSSL has no random bytes")
    end
    return tonumber(cast("uint32_t *", random_bytes)[0]) / 4294967296
end

return _M
