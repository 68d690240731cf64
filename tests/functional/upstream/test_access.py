"""Who gets in: tokens, scopes, and what happens while the issuer is away."""

import pytest
from quart import Quart
from quart.testing import QuartClient
from werkzeug.datastructures import Headers

from tests.functional.upstream.conftest import Issuer, bearer, client_of
from tests.support.issuer import issuer as signer
from tests.support.issuer import jwks, token
from tests.support.waiting import until
from upstream.services import services_of
from upstream.tokens import keysource

PUBLIC = {"/healthz", "/openapi.json"}

PROTECTED = [
    ("GET", "/api/users"),
    ("POST", "/api/users"),
    ("GET", "/api/users/1"),
    ("GET", "/api/users/1/card"),
    ("GET", "/api/users/1/website"),
    ("GET", "/api/users/events"),
]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_asks_for_a_token(client: QuartClient, method: str, path: str) -> None:
    response = await client.open(path, method=method)
    assert response.status_code == 401
    # RFC 6750 section 3.1: no error code where no token was sent.
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="data"'
    assert (await response.get_json())["code"] == "token_missing"


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_refuses_a_bad_token(client: QuartClient, method: str, path: str) -> None:
    response = await client.open(path, method=method, headers=bearer(aud="other"))
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="data", error="invalid_token"'
    assert (await response.get_json())["code"] == "token_invalid"


def test_no_route_is_left_out_of_these_tests(app: Quart) -> None:
    http = {rule.rule for rule in app.url_map.iter_rules() if not rule.websocket}
    tested = {path.replace("/1", "/<user_id:user_id>") for _method, path in PROTECTED}
    assert http == tested | PUBLIC


@pytest.mark.parametrize("path", sorted(PUBLIC))
async def test_needs_no_token(client: QuartClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


async def test_serves_no_static_files(client: QuartClient) -> None:
    for path in ("/static/app.py", "/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("scope", "get", "post"),
    [
        ("users:read", 200, 403),
        ("users:write", 403, 422),
        ("users:read users:write", 200, 422),
        ("", 403, 403),
        ("users", 403, 403),
        ("users:*", 403, 403),
        ("users:reader xusers:write", 403, 403),
        ("USERS:READ", 403, 403),
    ],
)
async def test_a_token_opens_what_its_scopes_say(
    client: QuartClient, scope: str, get: int, post: int
) -> None:
    assert (await client.get("/api/users", headers=bearer(scope))).status_code == get
    assert (await client.post("/api/users", json={}, headers=bearer(scope))).status_code == post


async def test_names_the_scope_that_is_missing(client: QuartClient) -> None:
    user = {"name": "Eve", "email": "eve@example.org"}
    response = await client.post("/api/users", json=user, headers=bearer("users:read"))
    assert response.status_code == 403
    challenge = 'Bearer realm="data", error="insufficient_scope", scope="users:write"'
    assert response.headers["WWW-Authenticate"] == challenge
    assert (await response.get_json())["code"] == "insufficient_scope"
    found = await client.get("/api/users?q=eve%40", headers=bearer())
    assert (await found.get_json())["users"] == []


async def test_the_scope_is_judged_before_the_body_is_read(client: QuartClient) -> None:
    response = await client.post("/api/users", data=b"{", headers=bearer("users:read"))
    assert response.status_code == 403


async def test_two_authorization_headers_are_refused(client: QuartClient) -> None:
    good = bearer()["Authorization"]
    response = await client.get(
        "/api/users", headers=Headers([("Authorization", good), ("Authorization", good)])
    )
    assert response.status_code == 400
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="data", error="invalid_request"'


@pytest.mark.parametrize("place", ["query", "cookie", "form"])
async def test_a_token_elsewhere_than_in_the_header_is_not_looked_at(client: QuartClient, place: str) -> None:
    good = token()
    match place:
        case "query":
            response = await client.get(f"/api/users?access_token={good}")
        case "cookie":
            response = await client.get("/api/users", headers={"Cookie": f"access_token={good}"})
        case _:
            response = await client.post("/api/users", form={"access_token": good})
    assert response.status_code == 401


async def test_a_forged_identity_header_means_nothing(client: QuartClient) -> None:
    forged = {"X-Client-Id": "admin", "X-Scopes": "users:write"}
    assert (await client.get("/api/users", headers=forged)).status_code == 401
    assert (
        await client.post("/api/users", json={}, headers=bearer("users:read") | forged)
    ).status_code == 403


@pytest.fixture
def away(issuer: Issuer) -> None:
    issuer.document = None


@pytest.mark.usefixtures("away")
async def test_without_any_key_it_says_try_later_and_blames_no_token(client: QuartClient) -> None:
    response = await client.get("/api/users", headers=bearer())
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "WWW-Authenticate" not in response.headers
    assert (await response.get_json())["code"] == "keys_unavailable"
    assert (await client.get("/api/users")).status_code == 401
    assert (await client.get("/healthz")).status_code == 200


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keysource, "RETRY_WITHOUT_KEYS", 0.001)


@pytest.mark.usefixtures("away", "impatient")
async def test_gets_its_keys_as_soon_as_the_issuer_is_there(app: Quart, issuer: Issuer) -> None:
    client = client_of(app)
    assert (await client.get("/api/users", headers=bearer())).status_code == 503
    issuer.document = jwks("ES256")
    await until(lambda: services_of(app).keys.keys is not None)
    assert (await client.get("/api/users", headers=bearer())).status_code == 200


async def test_a_new_key_is_learned_from_the_first_token_that_names_it(app: Quart, issuer: Issuer) -> None:
    client = client_of(app)
    headers = {"Authorization": f"Bearer {token('RS512')}"}
    issuer.document = jwks("ES256", "EdDSA", "RS512")
    assert (await client.get("/api/users", headers=headers)).status_code == 401
    await until(lambda: "key-rs512" in (services_of(app).keys.keys or {}))
    assert (await client.get("/api/users", headers=headers)).status_code == 200


async def test_a_flood_of_unknown_keys_makes_one_fetch(app: Quart, issuer: Issuer) -> None:
    client = client_of(app)
    before = issuer.fetches
    for number in range(50):
        forged = signer().forge({"alg": "ES256", "header": {"kid": f"made-up-{number}"}})
        response = await client.get("/api/users", headers={"Authorization": f"Bearer {forged}"})
        assert response.status_code == 401
    await until(lambda: issuer.fetches == before + 1)
    assert (await client.get("/api/users", headers=bearer())).status_code == 200
