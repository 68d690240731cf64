"""Judging tokens. The attacks are in tests/cases/tokens.json, which test_verifiers_agree.py goes through."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.issuer import AUDIENCE, ISSUER, issuer, jwks, token
from upstream.tokens.keyset import KeySet, read
from upstream.tokens.refusal import InsufficientScopeError, InvalidTokenError
from upstream.tokens.verifier import Caller, UnknownKeyError, Verifier

ALGORITHMS = ("RS512", "ES256", "EdDSA")


@pytest.fixture(scope="module")
def keys() -> KeySet:
    return read(jwks(*ALGORITHMS), ALGORITHMS)


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(ISSUER, AUDIENCE, 5.0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_takes_a_good_token_and_says_who_calls(algorithm: str, verifier: Verifier, keys: KeySet) -> None:
    expires = int(time.time()) + 60
    caller = verifier.verify(token(algorithm, client_id="ada", scope="a b", exp=expires), keys)
    assert caller == Caller("ada", frozenset({"a", "b"}), float(expires))


def test_a_token_without_scope_grants_nothing(verifier: Verifier, keys: KeySet) -> None:
    assert verifier.verify(token(scope=None), keys).scopes == frozenset()


def test_an_unknown_kid_is_told_apart(verifier: Verifier, keys: KeySet) -> None:
    with pytest.raises(UnknownKeyError):
        verifier.verify(issuer().forge({"alg": "ES256", "header": {"kid": "next-key"}}), keys)


def test_the_public_text_is_the_same_whatever_is_wrong(verifier: Verifier, keys: KeySet) -> None:
    said = set()
    for bad in (
        token(exp=1),
        token(iss="https://evil.test"),
        token(aud="other"),
        issuer().forge({"alg": "ES256", "signature": "other key"}),
        issuer().forge({"alg": "ES256", "header": {"typ": "JWT"}}),
    ):
        with pytest.raises(InvalidTokenError) as caught:
            verifier.verify(bad, keys)
        said.add((caught.value.status, caught.value.code, caught.value.detail, str(caught.value.headers())))
    assert len(said) == 1


def test_scopes_are_whole_words(verifier: Verifier, keys: KeySet) -> None:
    caller = verifier.verify(token(scope="users:read users:writer"), keys)
    caller.must_have("users:read")
    with pytest.raises(InsufficientScopeError) as caught:
        caller.must_have("users:write")
    assert caught.value.status == 403
    assert caught.value.headers() == {
        "WWW-Authenticate": 'Bearer realm="data", error="insufficient_scope", scope="users:write"'
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
CLAIMS = st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "client_id", "jti", "scope"])
PARAMETERS = st.sampled_from(["alg", "typ", "kid", "cty", "x"])


def forged(part: str, changes: dict[str, Any]) -> str:
    """Return a token, rightly signed, with these members in its header or claims (NaN is written as such)."""
    absent = {name: {"$absent": True} for name in changes}
    members = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in changes.items())
    return issuer().forge({"alg": "EdDSA", part: absent, f"{part}_text": "{$members," + members + "}"})


@given(st.dictionaries(CLAIMS, JSON, min_size=1, max_size=8))
def test_claims_of_any_type_are_judged_not_stumbled_over(changes: dict[str, Any]) -> None:
    keys = read(jwks("EdDSA"), ("EdDSA",))
    try:
        caller = Verifier(ISSUER, AUDIENCE, 5.0).verify(forged("claims", changes), keys)
    except InvalidTokenError:
        return
    assert changes.get("iss", ISSUER) == ISSUER
    assert changes.get("client_id", caller.client_id) == caller.client_id


@given(st.dictionaries(PARAMETERS, JSON, min_size=1, max_size=2))
def test_headers_of_any_type_are_judged_not_stumbled_over(changes: dict[str, Any]) -> None:
    keys = read(jwks("EdDSA"), ("EdDSA",))
    try:
        Verifier(ISSUER, AUDIENCE, 5.0).verify(forged("header", changes), keys)
    except InvalidTokenError:
        return
    assert changes.get("alg", "EdDSA") == "EdDSA"
    assert changes.get("kid", "key-eddsa") == "key-eddsa"


@pytest.mark.parametrize(("part", "changes"), [("header", {"x": 1}), ("claims", {"jti": "other"})])
def test_a_harmless_change_is_taken(
    part: str, changes: dict[str, Any], verifier: Verifier, keys: KeySet
) -> None:
    """The twin of the two above: what they forge is rightly put together."""
    assert verifier.verify(forged(part, changes), keys).client_id == "demo"
