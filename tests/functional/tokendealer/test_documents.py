"""The published documents: key set, metadata, OpenAPI."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from quart import Quart
from quart.typing import TestClientProtocol as Client

from tests.functional.tokendealer.asgi import ask
from tokendealer.service import Service

JWKS = "/.well-known/jwks.json"
METADATA = "/.well-known/oauth-authorization-server"


def test_the_key_set_is_named_and_public_only(service: Service) -> None:
    """RFC 7517 sections 4 and 5, RFC 7638 section 3: computed from the key, not from the document."""
    (jwk,) = json.loads(service.jwk_set.body)["keys"]
    public = service.keys.active.private_key.public_key()
    assert isinstance(public, Ed25519PublicKey)
    x = base64.urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"=").decode()
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'
    kid = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()
    assert jwk == {"kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig", "alg": "EdDSA", "kid": kid}


async def test_the_key_set_can_be_kept_and_asked_again(client: Client) -> None:
    first = await client.get(JWKS)
    assert first.status_code == 200
    assert first.headers["Content-Type"] == "application/jwk-set+json"
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert "Pragma" not in first.headers
    assert jwt.PyJWKSet.from_dict(await first.get_json(force=True)).keys
    etag = first.headers["ETag"]
    assert etag.startswith('"')


@pytest.mark.parametrize(
    ("validator", "status"),
    [
        ("ETAG", 304),
        ("W/ETAG", 304),
        ('"other", ETAG', 304),
        ("*", 304),
        ('"other"', 200),
        ("", 200),
        ("nonsense", 200),
        ('"', 200),
    ],
)
async def test_if_none_match(client: Client, validator: str, status: int) -> None:
    """RFC 9110 section 13.1.2: compared weakly."""
    first = await client.get(JWKS)
    etag = first.headers["ETag"]
    answer = await client.get(JWKS, headers={"If-None-Match": validator.replace("ETAG", etag)})
    assert answer.status_code == status
    assert answer.headers["ETag"] == etag
    assert answer.headers["Cache-Control"] == first.headers["Cache-Control"]
    assert (await answer.get_data(as_text=False) == b"") == (status == 304)


async def test_a_304_says_nothing_of_a_body(app: Quart) -> None:
    """RFC 9110 sections 8.6 and 15.4.5."""
    answer = await ask(app, "GET", JWKS, headers=[(b"if-none-match", b"*")])
    assert (answer.status, answer.body) == (304, b"")
    assert set(answer.headers) == {"etag", "cache-control", "x-request-id"}


async def test_the_metadata(client: Client) -> None:
    """RFC 8414 section 2."""
    answer = await client.get(METADATA)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"].startswith("public")
    assert await answer.get_json() == {
        "issuer": "https://localhost:8443",
        "token_endpoint": "https://localhost:8443/oauth/token",
        "jwks_uri": "https://localhost:8443/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }


@pytest.mark.parametrize("path", [JWKS, METADATA, "/healthz", "/openapi.json"])
async def test_documents_are_read_only(client: Client, path: str) -> None:
    assert (await client.get(path)).status_code == 200
    assert (await client.head(path)).status_code == 200
    answer = await client.post(path)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


async def test_the_openapi_document_names_every_endpoint(client: Client) -> None:
    document: Any = await (await client.get("/openapi.json")).get_json()
    assert {path: set(methods) for path, methods in document["paths"].items()} == {
        "/oauth/token": {"post"},
        "/verify_token": {"post"},
        JWKS: {"get"},
        METADATA: {"get"},
        "/healthz": {"get"},
    }
    body = document["paths"]["/oauth/token"]["post"]["requestBody"]["content"]
    assert list(body) == ["application/x-www-form-urlencoded"]


async def test_no_document_tells_of_the_clients(client: Client) -> None:
    for path in (JWKS, METADATA, "/openapi.json"):
        text = await (await client.get(path)).get_data(as_text=True)
        assert "reader" not in text
        assert "users:read" not in text
