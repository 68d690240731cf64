"""POST /verify_token, the book's endpoint: the claims, or 400."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from quart.typing import TestClientProtocol as Client

from tests.functional.tokendealer.requests import post
from tokendealer.rfc9068 import MAX_LENGTH
from tokendealer.service import Service

PATH = "/verify_token"


async def test_a_good_token(service: Service, client: Client) -> None:
    token = service.tokens.issue("reader", "data", ["users:read"])
    answer = await post(client, {"access_token": token.text, "audience": "data"}, path=PATH)
    assert answer.status_code == 200
    assert await answer.get_json() == token.claims
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"access_token": "a.b.c"},
        {"audience": "data"},
        {"access_token": "", "audience": "data"},
        [("access_token", "a.b.c"), ("audience", "data"), ("audience", "data")],
    ],
)
async def test_an_incomplete_form(client: Client, form: Any) -> None:
    answer = await post(client, form, path=PATH)
    assert (answer.status_code, (await answer.get_json())["error"]) == (400, "invalid_request")


def _b64(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _with_header(**changes: Any) -> Callable[[Service, dict[str, Any]], str]:
    """Sign good claims with the service's own key and a changed header."""

    def make(service: Service, claims: dict[str, Any]) -> str:
        key = service.keys.active
        header = {"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"} | changes
        head = {name: value for name, value in header.items() if value is not ...}
        signed = f"{_b64(head)}.{_b64(claims)}"
        return f"{signed}.{_b64(key.private_key.sign(signed.encode()))}"  # type: ignore[call-arg]

    return make


def _with_claims(**changes: Any) -> Callable[[Service, dict[str, Any]], str]:
    def make(service: Service, claims: dict[str, Any]) -> str:
        changed = {name: value for name, value in (claims | changes).items() if value is not ...}
        return _with_header()(service, changed)

    return make


def _other_key(service: Service, claims: dict[str, Any]) -> str:
    headers = {"typ": "at+jwt", "kid": service.keys.active.kid}
    return jwt.encode(claims, ed25519.Ed25519PrivateKey.generate(), "EdDSA", headers=headers)


def _rsa_key(service: Service, claims: dict[str, Any]) -> str:
    key = rsa.generate_private_key(65537, 2048)
    return jwt.encode(claims, key, "RS512", headers={"typ": "at+jwt", "kid": service.keys.active.kid})


def _hmac(service: Service, claims: dict[str, Any]) -> str:
    signed = f"{_b64({'alg': 'HS256', 'kid': service.keys.active.kid, 'typ': 'at+jwt'})}.{_b64(claims)}"
    secret = service.keys.active.public_key.public_bytes_raw()
    return f"{signed}.{_b64(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _good(service: Service, claims: dict[str, Any]) -> str:
    return _with_header()(service, claims)


def _changed(change: Callable[[str], str]) -> Callable[[Service, dict[str, Any]], str]:
    return lambda service, claims: change(_good(service, claims))


NOW = int(time.time())

BAD: dict[str, Callable[[Service, dict[str, Any]], str]] = {
    "another key": _other_key,
    "a key of another kind": _rsa_key,
    "HMAC keyed with the public key": _hmac,
    "none": lambda service, claims: _with_header(alg="none")(service, claims).rpartition(".")[0] + ".AA",
    "empty signature": _changed(lambda token: token.rpartition(".")[0] + "."),
    "two parts": _changed(lambda token: token.rpartition(".")[0]),
    "four parts": _changed(lambda token: token + ".AA"),
    "padding": _changed(lambda token: token + "=="),
    "white space": _changed(lambda token: token + " "),
    "a changed claim": _changed(lambda token: token.replace(".ey", ".eyA", 1)),
    "too long": _changed(lambda token: token + "A" * MAX_LENGTH),
    "alg of another key": _with_header(alg="ES256"),
    "alg in another case": _with_header(alg="eddsa"),
    "alg a number": _with_header(alg=1),
    "no kid": _with_header(kid=...),
    "unknown kid": _with_header(kid="x"),
    "kid a path": _with_header(kid="../../etc/passwd"),
    "kid a list": _with_header(kid=["x"]),
    "no typ": _with_header(typ=...),
    "typ JWT": _with_header(typ="JWT"),
    "typ dpop": _with_header(typ="dpop+jwt"),
    "typ a number": _with_header(typ=7),
    "crit": _with_header(crit=["exp"]),
    "jwk in the header": _with_header(jwk={"kty": "OKP"}),
    "jku in the header": _with_header(jku="https://evil.example/"),
    "b64": _with_header(b64=False, crit=["b64"]),
    "header a list": lambda _service, _claims: f"{_b64([])}.{_b64({})}.AA",
    "header not JSON": lambda _service, _claims: "AAAA.AAAA.AAAA",
    "header nested deeply": lambda _service, _claims: f"{_b64(b'[' * 5000)}.AAAA.AAAA",
    "claims not an object": lambda service, _claims: _with_header()(service, []),  # type: ignore[arg-type]
    "expired": _with_claims(exp=NOW - 1),
    "no exp": _with_claims(exp=...),
    "exp a list": _with_claims(exp=[]),
    "exp null": _with_claims(exp=None),
    "exp text": _with_claims(exp="tomorrow"),
    "iat ahead": _with_claims(iat=NOW + 3600),
    "no iat": _with_claims(iat=...),
    "nbf ahead": _with_claims(nbf=NOW + 3600),
    "another issuer": _with_claims(iss="https://localhost:8443/"),
    "no issuer": _with_claims(iss=...),
    "another audience": _with_claims(aud="dat"),
    "a list of audiences": _with_claims(aud=["data", "other"]),
    "no audience": _with_claims(aud=...),
    "no sub": _with_claims(sub=...),
    "sub a number": _with_claims(sub=1),
    "no client_id": _with_claims(client_id=...),
    "no jti": _with_claims(jti=...),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
async def test_a_bad_token(
    service: Service, client: Client, make: Callable[[Service, dict[str, Any]], str], events: list[Any]
) -> None:
    claims = service.tokens.issue("reader", "data", ["users:read"]).claims
    bad, good = make(service, dict(claims)), _good(service, claims)

    answer = await post(client, {"access_token": bad, "audience": "data"}, path=PATH)

    assert answer.status_code == 400
    assert await answer.get_json() == {
        "error": "invalid_token",
        "error_description": "The token is not a valid access token for this audience.",
    }
    assert bad not in str(events)
    assert (await post(client, {"access_token": good, "audience": "data"}, path=PATH)).status_code == 200


async def test_typ_may_be_written_out(service: Service, client: Client) -> None:
    """RFC 7515 section 4.1.9, in any case (RFC 2045 section 5.1)."""
    claims = service.tokens.issue("reader", "data", []).claims
    token = _with_header(typ="Application/AT+JWT")(service, claims)
    assert (await post(client, {"access_token": token, "audience": "data"}, path=PATH)).status_code == 200


async def test_another_audience(service: Service, client: Client) -> None:
    token = service.tokens.issue("reader", "data", []).text
    answer = await post(client, {"access_token": token, "audience": "other"}, path=PATH)
    assert answer.status_code == 400


async def test_a_token_in_the_url(service: Service, client: Client, events: list[Any]) -> None:
    token = service.tokens.issue("reader", "data", []).text
    answer = await post(client, {"audience": "data"}, path=f"{PATH}?access_token={token}")
    assert answer.status_code == 400
    assert events[0]["log_level"] == "warning"
    assert token not in str(events)
