"""Signing keys, their names and the ring."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import get_args

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tokendealer.keys import KeyRing, PrivateKey, SigningKey, generate_key, parse_key, thumbprint
from tokendealer.rfc7517 import JwkSet
from tokendealer.settings import Algorithm

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)


@pytest.fixture(scope="module")
def keys() -> dict[Algorithm, SigningKey]:
    return {algorithm: generate_key(algorithm) for algorithm in ALGORITHMS}


def test_the_thumbprint_of_the_rfc() -> None:
    """The example of RFC 7638 section 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI"
        "SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    assert len(n) == 342
    members = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(members) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_the_thumbprint_of_an_ed25519_key() -> None:
    """The example of RFC 8037 appendix A.3."""
    members = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert thumbprint(members) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_verifies_with_the_published_key_alone(
    keys: dict[Algorithm, SigningKey], algorithm: Algorithm
) -> None:
    key = keys[algorithm]
    token = key.sign({"aud": "data"}, "at+jwt")
    published = jwt.PyJWKSet.from_dict(json.loads(JwkSet.of(KeyRing(key)).body))
    header = jwt.get_unverified_header(token)
    assert header == {"alg": algorithm, "typ": "at+jwt", "kid": key.kid}
    assert jwt.decode(token, published[key.kid], algorithms=[algorithm], audience="data") == {"aud": "data"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_only_public_members_are_published(keys: dict[Algorithm, SigningKey], algorithm: Algorithm) -> None:
    allowed = {"kty", "use", "alg", "kid"} | {
        "RS512": {"n", "e"},
        "ES256": {"crv", "x", "y"},
        "EdDSA": {"crv", "x"},
    }[algorithm]
    assert set(keys[algorithm].jwk) == allowed
    assert keys[algorithm].jwk["use"] == "sig"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_survives_its_file(keys: dict[Algorithm, SigningKey], algorithm: Algorithm) -> None:
    key = keys[algorithm]
    again = parse_key(key.to_pem(), algorithm)
    assert (again.kid, again.jwk) == (key.kid, key.jwk)


def test_the_private_key_is_not_shown(keys: dict[Algorithm, SigningKey]) -> None:
    assert all("private" not in repr(key) for key in keys.values())


def test_coordinates_keep_their_leading_zeros() -> None:
    """RFC 7518 section 6.2.1.2: 32 octets each, whatever the number."""
    for secret in range(1, 600):
        key = SigningKey.of(ec.derive_private_key(secret, ec.SECP256R1()), "ES256")
        assert len(key.jwk["x"]) == len(key.jwk["y"]) == 43
        numbers = ec.derive_private_key(secret, ec.SECP256R1()).public_key().public_numbers()
        for name, number in (("x", numbers.x), ("y", numbers.y)):
            assert base64.urlsafe_b64decode(key.jwk[name] + "=") == number.to_bytes(32)


MISFITS: list[tuple[PrivateKey, Algorithm]] = [
    (rsa.generate_private_key(65537, 1024), "RS512"),  # noqa: S505  that is the point
    (ed25519.Ed25519PrivateKey.generate(), "RS512"),
    (ec.generate_private_key(ec.SECP384R1()), "ES256"),
    (ec.generate_private_key(ec.SECP256K1()), "ES256"),
    (ec.generate_private_key(ec.SECP256R1()), "EdDSA"),
]


@pytest.mark.parametrize(("key", "algorithm"), MISFITS)
def test_a_key_has_to_fit_its_algorithm(key: PrivateKey, algorithm: Algorithm) -> None:
    with pytest.raises(ValueError, match=f"^{algorithm} takes an? "):
        SigningKey.of(key, algorithm)


def test_what_is_not_a_private_key() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for pem in (b"", b"no key", public, encrypted):
        with pytest.raises(ValueError):  # noqa: PT011  cryptography words it
            parse_key(pem, "EdDSA")


def test_what_signs_is_published(keys: dict[Algorithm, SigningKey]) -> None:
    active, other = keys["EdDSA"], keys["ES256"]
    ring = KeyRing(active, [other, active])
    assert ring.published == (active, other)
    assert ring.get(other.kid) is other
    assert ring.get("unknown") is None


def test_the_etag_changes_with_the_keys_only(keys: dict[Algorithm, SigningKey]) -> None:
    one, two = JwkSet.of(KeyRing(keys["EdDSA"])), JwkSet.of(KeyRing(keys["EdDSA"], [keys["ES256"]]))
    assert one == JwkSet.of(KeyRing(keys["EdDSA"]))
    assert one.etag != two.etag
    assert one.etag == hashlib.sha256(one.body).hexdigest()[:32]
