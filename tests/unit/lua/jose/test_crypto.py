"""lua/bartizan/jose/crypto.lua: nothing leaks, OpenSSL's error queue stays empty; hashes, random numbers."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.support.lua import Lua
from tests.support.tokens import Issuer, SigningKey

ALGORITHMS = ("RS512", "PS256", "ES256", "EdDSA")
PAGE = os.sysconf("SC_PAGE_SIZE")

VERIFY_MANY = """
local text, tokens, times = ...
local json = require("bartizan.json")
local jws = require("bartizan.jose.jws")
local keys = assert(require("bartizan.jose.keyset").parse(
    text, { "RS512", "PS256", "ES256", "EdDSA" }))
tokens = json.decode(tokens)
local verifier = jws.verifier(keys, { ["at+jwt"] = true })
local accepted = 0
for i = 1, times do
    if jws.verify(verifier, tokens[i % #tokens + 1]) then
        accepted = accepted + 1
    end
end
return accepted
"""

PARSE_MANY = """
local text, times = ...
local parse = require("bartizan.jose.keyset").parse
for i = 1, times do
    assert(parse(text, { "ES256", "EdDSA" }))
    if i % 10 == 0 then
        collectgarbage()
    end
end
"""


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(keys={alg: SigningKey.make(alg) for alg in ALGORITHMS})


def test_twenty_thousand_tokens_hold_memory_flat(issuer: Issuer) -> None:
    """Half of them good, half with a wrong signature: neither way may keep anything."""
    lua = Lua()
    good = [issuer.token(alg) for alg in ALGORITHMS]
    bad = [issuer.forge({"alg": alg, "signature": "other message"}) for alg in ALGORITHMS]
    arguments = (json.dumps(issuer.jwks()), json.dumps(good + bad))
    assert lua.execute(VERIFY_MANY, *arguments, 2000) == 1000
    lua_before, before = lua.memory(), resident()
    assert lua.execute(VERIFY_MANY, *arguments, 20_000) == 10_000
    assert lua.memory() - lua_before < 100_000
    # A context of OpenSSL is some 500 bytes: leaking one a token would be 10 MB.
    assert resident() - before < 4_000_000


def test_key_sets_that_are_replaced_are_freed(issuer: Issuer) -> None:
    lua = Lua()
    text = json.dumps({"keys": [issuer.keys[alg].jwk() for alg in ("ES256", "EdDSA")]})
    lua.execute(PARSE_MANY, text, 100)
    lua.memory()
    before = resident()
    lua.execute(PARSE_MANY, text, 1000)
    lua.memory()
    # Two keys and two contexts a set are some 5 KB: leaking them would be 5 MB.
    assert resident() - before < 1_500_000


def test_the_error_queue_is_left_empty(issuer: Issuer) -> None:
    """What a refused token leaves there would be logged by nginx as the cause of another error."""
    lua = Lua()
    lua.require("bartizan.jose.crypto")
    errors = lua.execute(
        """
        local ffi = require("ffi")
        ffi.cdef("unsigned long ERR_peek_error(void);")
        local lib = ffi.load("libcrypto.so.3")
        return function() return tonumber(lib.ERR_peek_error()) end
        """
    )
    bad = [
        {"alg": "RS512", "signature": "other key"},
        {"alg": "RS512", "signature": "truncated"},
        {"alg": "PS256", "signature": "zeros"},
        {"alg": "ES256", "signature": "ecdsa:r=n"},
        {"alg": "EdDSA", "signature": "truncated"},
    ]
    for case in bad:
        assert lua.execute(VERIFY_MANY, json.dumps(issuer.jwks()), json.dumps([issuer.forge(case)]), 1) == 0
        assert errors() == 0
    with pytest.raises(Exception, match="OpenSSL has no digest MD6"):
        lua.require("bartizan.jose.crypto").hash("MD6")
    assert errors() == 0
    refused = issuer.keys["ES256"].jwk(x="A" * 43)
    parse = lua.require("bartizan.jose.keyset").parse
    assert parse(json.dumps({"keys": [refused]}), lua.table(["ES256"]))[0] is None
    assert errors() == 0


def test_random_numbers_are_spread_over_the_unit_interval() -> None:
    random = Lua().require("bartizan.jose.crypto").random
    numbers = [random() for _ in range(2000)]
    assert all(0 <= number < 1 for number in numbers)
    assert len(set(numbers)) > 1990
    # By chance one tenth stays empty once in 10^90 runs.
    assert {int(number * 10) for number in numbers} == set(range(10))


@pytest.mark.parametrize("digest", ["MD5", "SHA1", "SHA256", "SHA512"])
@pytest.mark.parametrize("text", [b"", b"abc", bytes(range(256)) * 9])
def test_hashes_are_those_of_python(digest: str, text: bytes) -> None:
    computed = Lua(encoding="latin-1").require("bartizan.jose.crypto").hash(digest)(text.decode("latin-1"))
    assert str(computed).encode("latin-1") == hashlib.new(digest, text, usedforsecurity=False).digest()
