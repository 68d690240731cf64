"""What was wrong with the book's tokendealer: each error is shown there and gone here."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from quart.typing import TestClientProtocol as Client

from tests.functional.tokendealer.requests import post
from tests.support import book_tokendealer
from tests.support.tokendealer import Prepared
from tokendealer.app import create_app
from tokendealer.keys import generate_key
from tokendealer.service import open_service
from tokendealer.settings import Settings

JWKS = "/.well-known/jwks.json"


@dataclass
class Side:
    """One of the two services and a client that it knows."""

    client: Client
    form: dict[str, str]
    key_files: Path

    async def token(self, **changes: str) -> dict[str, Any]:
        """Return the answer to a token request."""
        body = await (await post(self.client, self.form | changes)).get_json()
        assert isinstance(body, dict)
        return body

    async def claims(self, **changes: str) -> dict[str, Any]:
        """Return the claims of a token, unverified."""
        token = (await self.token(**changes))["access_token"]
        return jwt.decode(token, options={"verify_signature": False})

    async def status(self, **changes: str) -> int:
        """Return the status of a token request."""
        return (await post(self.client, self.form | changes)).status_code


@pytest.fixture(scope="module")
def rsa_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("book")
    key = generate_key("RS512")
    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "private.pem").write_bytes(key.to_pem())
    (folder / "public.pem").write_bytes(key.public_key.public_bytes(*public))
    return folder


@pytest.fixture
def book(rsa_files: Path, tmp_path: Path) -> Side:
    files = tmp_path / "book"
    shutil.copytree(rsa_files, files)
    app = book_tokendealer.create_book_app(files / "private.pem", files / "public.pem")
    form = {"client_id": "bench", "client_secret": book_tokendealer.SECRETS["bench"]}
    return Side(app.test_client(), {"grant_type": "client_credentials", "audience": "data", **form}, files)


@pytest.fixture
async def ours(own_state: Prepared) -> AsyncIterator[Side]:
    who = own_state.clients["reader"]
    form = {"client_id": who.client_id, "client_secret": who.secret}
    async with open_service(Settings(state=own_state.path, algorithm="EdDSA")) as service:
        client = create_app(service).test_client()
        form = {"grant_type": "client_credentials", "audience": "data", **form}
        yield Side(client, form, own_state.path / "keys")


async def test_the_key_set_can_be_used(book: Side, ours: Side) -> None:
    """The whole PEM stood in `n`, and there was no `kid`."""
    (bad,) = (await (await book.client.get(JWKS)).get_json())["keys"]
    assert bad["n"].startswith("-----BEGIN PUBLIC KEY-----")
    assert "kid" not in bad
    document = await (await ours.client.get(JWKS)).get_json(force=True)
    (good,) = document["keys"]
    assert len(base64.urlsafe_b64decode(good["x"] + "==")) == 32
    token = (await ours.token())["access_token"]
    keys = jwt.PyJWKSet.from_dict(document)
    assert jwt.decode(token, keys[good["kid"]], algorithms=["EdDSA"], audience="data")


async def test_an_unknown_client_is_401(book: Side, ours: Side) -> None:
    """It raised TypeError, and that came out as 400."""
    assert await book.status(client_id="nobody") == 400
    assert await ours.status(client_id="nobody") == 401


async def test_a_wrong_secret_is_401(book: Side, ours: Side) -> None:
    """`abort(401)` stood inside `except Exception` and came out as 400."""
    assert await book.status(client_secret="wrong") == 400
    assert await ours.status(client_secret="wrong") == 401


async def test_an_audience_is_granted_to_its_clients_only(book: Side, ours: Side) -> None:
    """Any audience was granted, and none at all."""
    assert (await book.claims(audience="the-bank"))["aud"] == "the-bank"
    assert (await book.claims(audience=""))["aud"] == ""
    assert (await ours.token(audience="the-bank"))["error"] == "invalid_target"
    assert (await ours.claims(audience=""))["aud"] == "data"


async def test_the_claims_are_whole(book: Side, ours: Side) -> None:
    """There was no `sub`, `client_id`, `jti`, `scope`, and the `typ` was the one of any token."""
    assert set(await book.claims()) == {"iss", "aud", "iat", "exp"}
    claims = await ours.claims()
    assert set(claims) == {"iss", "aud", "sub", "client_id", "scope", "jti", "iat", "exp"}
    assert jwt.get_unverified_header((await book.token())["access_token"])["typ"] == "JWT"
    assert jwt.get_unverified_header((await ours.token())["access_token"])["typ"] == "at+jwt"


async def test_a_token_lives_an_hour(book: Side, ours: Side) -> None:
    """It lived a day."""
    assert (await book.claims())["exp"] > time.time() + 23 * 3600
    claims = await ours.claims()
    assert claims["exp"] - claims["iat"] == 3600


async def test_the_answer_is_whole_and_not_stored(book: Side, ours: Side) -> None:
    """There was no `token_type`, no `expires_in`, no `Cache-Control`."""
    bad = await post(book.client, book.form)
    assert set(await bad.get_json()) == {"access_token"}
    assert "Cache-Control" not in bad.headers
    good = await post(ours.client, ours.form)
    assert set(await good.get_json()) == {"access_token", "token_type", "expires_in", "scope"}
    assert good.headers["Cache-Control"] == "no-store"


async def test_the_key_is_parsed_once(book: Side, ours: Side) -> None:
    """The key file was read on each request: it shows when the file is gone."""
    assert await book.status() == await ours.status() == 200
    for side in (book, ours):
        shutil.rmtree(side.key_files)
    assert await book.status() == 500
    assert await ours.status() == 200
    assert (await ours.client.get(JWKS)).status_code == 200


def test_no_secret_lies_in_plain_text(own_state: Prepared) -> None:
    """The secrets stood in the source."""
    assert book_tokendealer.SECRETS["bench"] in Path(book_tokendealer.__file__).read_text()
    root = Path(__file__).resolve().parents[3] / "tokendealer"
    files = [path for path in (*root.rglob("*.py"), *own_state.path.rglob("*")) if path.is_file()]
    assert len(files) > 20
    secret = own_state.clients["reader"].secret.encode()
    assert not [path for path in files if secret in path.read_bytes()]


async def test_the_refusal_does_not_repeat_what_was_sent(book: Side, ours: Side) -> None:
    """The error repeated the grant type that the caller had sent."""
    assert "<script>" in json.dumps(await book.token(grant_type="<script>"))
    assert "<script>" not in json.dumps(await ours.token(grant_type="<script>"))
