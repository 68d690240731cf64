"""Reading key sets: as a whole or not at all."""

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.support.issuer import issuer, jwks
from tests.support.tokens import public_jwk as jwk_of
from tests.support.tokens import rsa_key
from upstream.tokens.keyset import ALGORITHMS, MAX_KEYS, InvalidKeySetError, read

TAKEN = ("RS512", "ES256", "EdDSA")


def public_jwk(algorithm: str, kid: str | None = None) -> dict[str, Any]:
    key = issuer().keys[algorithm]
    return key.jwk(kid=kid or key.kid)


def document(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_reads_a_set_of_each_kind_of_key() -> None:
    keys = read(jwks("RS512", "ES256", "EdDSA"), TAKEN)
    assert {kid: key.algorithm_name for kid, key in keys.items()} == {
        f"key-{name.lower()}": name for name in TAKEN
    }


def test_leaves_unknown_members_alone() -> None:
    key = public_jwk("ES256") | {"x5t#S256": "abc", "note": [1]}
    assert list(read(json.dumps({"keys": [key], "comment": "hello"}).encode(), TAKEN)) == ["key-es256"]


def test_takes_a_key_without_use() -> None:
    key = public_jwk("ES256")
    del key["use"]
    assert list(read(document(key), TAKEN)) == ["key-es256"]


def changed(algorithm: str = "ES256", **changes: Any) -> bytes:
    return document(
        {name: value for name, value in {**public_jwk(algorithm), **changes}.items() if value is not None}
    )


def with_private_members() -> bytes:
    members = jwt.get_algorithm_by_name("ES256").to_jwk(issuer().keys["ES256"].private, as_dict=True)
    return document({**members, "kid": "a", "alg": "ES256"})


def with_small_rsa() -> bytes:
    return document(jwk_of(rsa_key("small", 1024), kid="a", alg="RS512"))


def off_the_curve() -> bytes:
    zero = base64.urlsafe_b64encode(bytes(31) + b"\x01").rstrip(b"=").decode()
    return changed(x=zero, y=zero)


REFUSED: dict[str, Callable[[], bytes]] = {
    "not JSON": lambda: b"<html>",
    "an empty document": lambda: b"",
    "a name twice": lambda: b'{"keys": [], "keys": []}',
    "no keys": lambda: b'{"keys": []}',
    "no member named keys": lambda: b"{}",
    "a list": lambda: b"[]",
    "keys that are no list": lambda: b'{"keys": {}}',
    "a key that is no object": lambda: b'{"keys": ["a"]}',
    "too many keys": lambda: document(*(public_jwk("ES256", f"k{number}") for number in range(MAX_KEYS + 1))),
    "a duplicate kid": lambda: document(public_jwk("ES256", "a"), public_jwk("EdDSA", "a")),
    "no kid": lambda: changed(kid=None),
    "an empty kid": lambda: changed(kid=""),
    "a kid that is a number": lambda: changed(kid=7),
    "no alg": lambda: changed(alg=None),
    "an algorithm that is not admitted": lambda: changed("RS512", alg="RS256"),
    "alg none": lambda: changed(alg="none"),
    "an HMAC algorithm": lambda: changed(alg="HS256"),
    "an algorithm of another kind of key": lambda: changed(alg="RS512"),
    "a curve unlike the algorithm": lambda: changed(crv="P-384"),
    "a curve that is not known": lambda: changed(crv="secp256k1"),
    "no curve": lambda: changed(crv=None),
    "a curve that is a list": lambda: changed(crv=["P-256"]),
    "a symmetric key": lambda: document({"kty": "oct", "k": "AAAA", "kid": "a", "alg": "HS256"}),
    "private members": with_private_members,
    "a stray private member": lambda: changed(d="AAAA"),
    "a key for encryption": lambda: changed(use="enc"),
    "an RSA key of 1024 bits": with_small_rsa,
    "an RSA exponent of 1": lambda: changed("RS512", e="AQ"),
    "an even RSA exponent": lambda: changed("RS512", e="BA"),
    "the whole PEM as modulus": lambda: changed(
        "RS512", n="-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"
    ),
    "a modulus that is a number": lambda: changed("RS512", n=17),
    "no modulus": lambda: changed("RS512", n=None),
    "a point that is not on the curve": off_the_curve,
    "a coordinate that is too short": lambda: changed(x="AAAA"),
    "an Ed25519 key that is too short": lambda: changed("EdDSA", x="AAAA"),
    "a good key beside a bad one": lambda: document(
        public_jwk("RS512"), {**public_jwk("ES256"), "crv": "P-384"}
    ),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(make: Callable[[], bytes]) -> None:
    with pytest.raises(InvalidKeySetError):
        read(make(), TAKEN)


def test_the_reason_never_prints_key_material() -> None:
    key = issuer().keys["RS512"].private
    assert isinstance(key, RSAPrivateKey)
    secret = jwt.get_algorithm_by_name("RS512").to_jwk(key, as_dict=True)
    for broken in ({**secret, "n": 17}, secret):
        with pytest.raises(InvalidKeySetError) as caught:
            read(document({**broken, "kid": "a", "alg": "RS512"}), TAKEN)
        assert str(secret["d"]) not in str(caught.value)


def test_every_algorithm_it_names_is_known_to_pyjwt() -> None:
    assert set(jwt.PyJWS().get_algorithms()) >= ALGORITHMS


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.lists(st.text(max_size=3), max_size=2)
)


@given(st.dictionaries(st.sampled_from(["kid", "kty", "alg", "use", "crv", "n", "e", "x", "y", "d"]), VALUES))
def test_no_member_of_any_type_gets_past_as_anything_but_a_refusal(changes: dict[str, Any]) -> None:
    try:
        keys = read(document({**public_jwk("ES256"), **changes}), TAKEN)
    except InvalidKeySetError:
        return
    assert [key.algorithm_name for key in keys.values()] == ["ES256"]
