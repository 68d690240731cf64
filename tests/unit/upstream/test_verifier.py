"""Judging tokens: every attack beside its passing twin."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from tests.support.issuer import AUDIENCE, ISSUER, Signed, b64, claims, jwks, private_key, public_jwk, token
from upstream.tokens.keyset import KeySet, read
from upstream.tokens.refusal import InsufficientScopeError, InvalidTokenError
from upstream.tokens.verifier import Caller, UnknownKeyError, Verifier

ALGORITHMS = ("RS512", "ES256", "EdDSA")
SKEW = 5.0


@pytest.fixture(scope="module")
def keys() -> KeySet:
    return read(jwks(*ALGORITHMS), ALGORITHMS)


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(ISSUER, AUDIENCE, SKEW)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_takes_a_good_token(algorithm: str, verifier: Verifier, keys: KeySet) -> None:
    expires = now() + 60
    caller = verifier.verify(token(algorithm, client_id="ada", scope="a b", exp=expires), keys)
    assert caller == Caller("ada", frozenset({"a", "b"}), float(expires))


def now() -> int:
    return int(time.time())


# Made when a test runs: a table of times that is filled at import is stale by then.
TAKEN: dict[str, Callable[[], Signed]] = {
    "the long form of the type": lambda: Signed(header={"typ": "application/at+jwt"}),
    "the type in any case": lambda: Signed(header={"typ": "AT+JWT"}),
    "a header parameter that means nothing here": lambda: Signed(header={"x": [1]}),
    "this service among the audiences": lambda: Signed(payload=claims(aud=["other", AUDIENCE])),
    "an expiry with a fraction": lambda: Signed(payload=claims(exp=now() + 300.5)),
    "no scope at all": lambda: Signed(payload=claims(scope=None)),
    "a claim that means nothing here": lambda: Signed(payload=claims(roles={"a": [1, None]})),
    "an expiry just passed, within the skew": lambda: Signed(payload=claims(exp=now() - int(SKEW) + 3)),
    "nbf just ahead, within the skew": lambda: Signed(payload=claims(nbf=now() + 3)),
}


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN.keys())
def test_takes(make: Callable[[], Signed], verifier: Verifier, keys: KeySet) -> None:
    assert verifier.verify(str(make()), keys).client_id == "reader"


def hmac_with(secret: bytes) -> Callable[[], str]:
    def make() -> str:
        first = b64(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": "key-RS512"}).encode())
        second = b64(json.dumps(claims()).encode())
        # PyJWT refuses a PEM as an HMAC key when it signs; an attacker's tool does not.
        signature = jwt.get_algorithm_by_name("HS256").sign(f"{first}.{second}".encode(), secret)
        return f"{first}.{second}.{b64(signature)}"

    return make


def public_bytes(encoding: serialization.Encoding, form: serialization.PublicFormat) -> bytes:
    return private_key("RS512").public_key().public_bytes(encoding, form)


PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
SPKI, PKCS1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1


def signature_changed(change: Callable[[bytes], bytes]) -> Callable[[], str]:
    def make() -> str:
        first, second, signature = Signed().parts()
        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        return f"{first}.{second}.{b64(change(raw))}"

    return make


def as_der(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def with_header(**changes: Any) -> Callable[[], str]:
    return lambda: str(Signed(header=changes))


def with_claims(**changes: Any) -> Callable[[], str]:
    return lambda: token(**changes)


def with_payload(payload: bytes) -> Callable[[], str]:
    return lambda: str(Signed(payload=payload))


def left_over_bits(index: int) -> Callable[[], str]:
    """Spell a part with the unused bits of its last character set: most decoders ignore them."""

    def make() -> str:
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for padding in ("", "x", "xx"):
            parts = list(Signed(header={"x": padding}, payload=claims(x=padding)).parts())
            part = parts[index]
            if len(part) % 4 in {2, 3}:
                parts[index] = part[:-1] + alphabet[alphabet.index(part[-1]) + 1]
                return ".".join(parts)
        raise AssertionError("one of three lengths in a row leaves bits over")

    return make


def unsigned(algorithm: str) -> Callable[[], str]:
    def make() -> str:
        first, second, _ = Signed(header={"alg": algorithm}).parts()
        return f"{first}.{second}.{b64(b'none')}"

    return make


def doubled(name: str, value: object) -> bytes:
    body = json.dumps(claims())
    return f'{body[:-1]}, "{name}": {json.dumps(value)}}}'.encode()


REFUSED: dict[str, Callable[[], str]] = {
    "alg none": unsigned("none"),
    "alg NONE": unsigned("NONE"),
    "an empty alg": unsigned(""),
    "HMAC keyed with the public key, SPKI PEM": hmac_with(public_bytes(PEM, SPKI)),
    "the same without its last newline": hmac_with(public_bytes(PEM, SPKI).rstrip()),
    "HMAC keyed with the public key, PKCS#1 PEM": hmac_with(public_bytes(PEM, PKCS1)),
    "HMAC keyed with the public key, DER": hmac_with(public_bytes(DER, SPKI)),
    "HMAC keyed with the JWK's text": hmac_with(json.dumps(public_jwk("RS512")).encode()),
    "HMAC keyed with nothing": hmac_with(b""),
    "an algorithm unlike the key's": with_header(alg="ES384"),
    "the algorithm in another case": with_header(alg="es256"),
    "the key of another algorithm": with_header(kid="key-RS512"),
    "the kid of another key of the set": with_header(kid="key-EdDSA"),
    "a key of its own (jwk)": with_header(jwk=public_jwk("ES256")),
    "a key set of its own (jku)": with_header(jku="https://evil.test/jwks.json"),
    "a certificate of its own (x5c)": with_header(x5c=["MIIB"]),
    "a certificate's address (x5u)": with_header(x5u="https://evil.test/cert.pem"),
    "a certificate's thumbprint (x5t)": with_header(x5t="abc"),
    "a certificate's newer thumbprint": with_header(**{"x5t#S256": "abc"}),
    "crit": with_header(crit=["exp"]),
    "an empty crit": with_header(crit=[]),
    "b64": with_header(b64=False),
    "zip": with_header(zip="DEF"),
    "no kid": with_header(kid=None),
    "a kid that is a path": with_header(kid="../../../../etc/passwd"),
    "a kid that is SQL": with_header(kid="' OR 1=1 --"),
    "a kid with NUL": with_header(kid="key-ES256\x00"),
    "a kid with a line end": with_header(kid="key-ES256\n"),
    "a kid of 4 KiB": with_header(kid="a" * 4096),
    "a kid that is a number": with_header(kid=7),
    "a kid that is a list": with_header(kid=["key-ES256"]),
    "an unknown kid": with_header(kid="nobody"),
    "no typ": with_header(typ=None),
    "typ JWT": with_header(typ="JWT"),
    "typ of an ID token": with_header(typ="id+jwt"),
    "typ of a DPoP proof": with_header(typ="dpop+jwt"),
    "typ that is a number": with_header(typ=1),
    "a name twice in the header": lambda: str(
        Signed(raw_header=b'{"alg":"none","typ":"at+jwt","kid":"key-ES256","alg":"ES256"}')
    ),
    "a header that is a list": lambda: str(Signed(raw_header=b'["ES256"]')),
    "a header that is no JSON": lambda: str(Signed(raw_header=b"ES256")),
    "no exp": with_claims(exp=None),
    "exp null": with_payload(json.dumps({**claims(), "exp": None}).encode()),
    "exp as text": lambda: token(exp=str(now() + 300)),
    "exp as a list": with_claims(exp=[]),
    "exp true": with_claims(exp=True),
    "exp NaN": with_payload(json.dumps({**claims(), "exp": float("nan")}).encode()),
    "exp infinite": with_payload(json.dumps(claims()).replace(str(claims()["exp"]), "1e400").encode()),
    "exp negative": with_claims(exp=-1),
    "exp enormous": with_claims(exp=10**30),
    "exp long ago": lambda: token(exp=now() - 3600),
    "exp just beyond the skew": lambda: token(exp=now() - int(SKEW) - 1),
    "nbf ahead": lambda: token(nbf=now() + 3600),
    "nbf as text": with_claims(nbf="0"),
    "iat ahead": lambda: token(iat=now() + 3600),
    "no iat": with_claims(iat=None),
    "no iss": with_claims(iss=None),
    "another issuer": with_claims(iss="https://evil.test"),
    "an issuer with a slash more": with_claims(iss=ISSUER + "/"),
    "an issuer in another case": with_claims(iss=ISSUER.upper()),
    "an issuer that is a list": with_claims(iss=[ISSUER]),
    "no aud": with_claims(aud=None),
    "another audience": with_claims(aud="other"),
    "a prefix of the audience": with_claims(aud=AUDIENCE[:-1]),
    "a longer audience": with_claims(aud=AUDIENCE + "base"),
    "audiences without this service": with_claims(aud=["a", "b"]),
    "no audiences": with_claims(aud=[]),
    "an audience that is an object": with_claims(aud={AUDIENCE: 1}),
    "audiences that are not all text": with_claims(aud=[AUDIENCE, 1]),
    "no sub": with_claims(sub=None),
    "no client_id": with_claims(client_id=None),
    "a client_id that is a number": with_claims(client_id=7),
    "no jti": with_claims(jti=None),
    "a scope that is a list": with_claims(scope=["users:read"]),
    "a name twice in the claims": with_payload(doubled("scope", "users:write")),
    "an escaped name twice in the claims": with_payload(doubled("\\u0073cope", "users:write")),
    "claims that are a list": with_payload(b"[]"),
    "claims that are no JSON": with_payload(b"hello"),
    "claims in UTF-16": with_payload(json.dumps(claims()).encode("utf-16")),
    "claims nested deeply": with_payload(b'{"a":' * 500 + b"1" + b"}" * 500),
    "a surrogate in a claim": with_payload(json.dumps({**claims(), "client_id": "\ud800"}).encode()),
    "an ES256 signature of zeros": signature_changed(lambda _raw: bytes(64)),
    "an ES256 signature with r of zero": signature_changed(lambda raw: bytes(32) + raw[32:]),
    "an ES256 signature with s of zero": signature_changed(lambda raw: raw[:32] + bytes(32)),
    "an ES256 signature with r of n": signature_changed(
        lambda raw: (
            bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551") + raw[32:]
        )
    ),
    "an ES256 signature in DER": signature_changed(as_der),
    "an overlong ES256 signature": signature_changed(lambda raw: b"\x00" + raw[:32] + b"\x00" + raw[32:]),
    "a short ES256 signature": signature_changed(lambda raw: raw[:-1]),
    "a flipped bit in the signature": signature_changed(lambda raw: bytes([raw[0] ^ 1]) + raw[1:]),
    "the signature of another token": lambda: ".".join(
        [*Signed(payload=claims(scope="x")).parts()[:2], Signed().parts()[2]]
    ),
    "bits left over in the header": left_over_bits(0),
    "bits left over in the claims": left_over_bits(1),
    "bits left over in the signature": left_over_bits(2),
    "parts of one character": lambda: "a.b.c",
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(make: Callable[[], str], verifier: Verifier, keys: KeySet) -> None:
    with pytest.raises(InvalidTokenError):
        verifier.verify(make(), keys)


def test_der_of_the_same_signature_is_a_true_signature() -> None:
    """The twin of the DER case: the refusal is about the form alone."""
    first, second, signature = Signed().parts()
    raw = base64.urlsafe_b64decode(signature + "==")
    assert decode_dss_signature(as_der(raw)) == (int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    assert jwt.get_algorithm_by_name("ES256").verify(
        f"{first}.{second}".encode(), private_key("ES256").public_key(), raw
    )


def test_an_unknown_kid_is_told_apart(verifier: Verifier, keys: KeySet) -> None:
    with pytest.raises(UnknownKeyError):
        verifier.verify(str(Signed(header={"kid": "next-key"})), keys)


def test_the_public_text_is_the_same_whatever_is_wrong(verifier: Verifier, keys: KeySet) -> None:
    said = set()
    for make in (
        REFUSED["exp long ago"],
        REFUSED["another issuer"],
        REFUSED["a flipped bit in the signature"],
    ):
        with pytest.raises(InvalidTokenError) as caught:
            verifier.verify(make(), keys)
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
NAMES = st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "client_id", "jti", "scope"])


@given(st.dictionaries(NAMES, JSON, min_size=1))
def test_claims_of_any_type_are_judged_not_stumbled_over(changes: dict[str, Any]) -> None:
    keys = read(jwks("EdDSA"), ("EdDSA",))
    try:
        caller = Verifier(ISSUER, AUDIENCE, SKEW).verify(
            str(Signed("EdDSA", payload=json.dumps({**claims(), **changes}).encode())), keys
        )
    except InvalidTokenError:
        return
    assert caller.client_id


@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "cty", "x"]), JSON, min_size=1))
def test_headers_of_any_type_are_judged_not_stumbled_over(changes: dict[str, Any]) -> None:
    keys = read(jwks("EdDSA"), ("EdDSA",))
    good = {"alg": "EdDSA", "typ": "at+jwt", "kid": "key-EdDSA"}
    signed = Signed("EdDSA", raw_header=json.dumps({**good, **changes}).encode())
    try:
        Verifier(ISSUER, AUDIENCE, SKEW).verify(str(signed), keys)
    except InvalidTokenError:
        return
    assert {**good, **changes}["alg"] == "EdDSA"
    assert {**good, **changes}["kid"] == "key-EdDSA"
