"""What the gateway must refuse of tokens: every kind of attack at a running gateway, and its passing twin."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.backend import Backend
from tests.support.gateway import Gateway
from tests.support.key_server import key_set, statuses, until
from tests.support.tokens import ALGORITHMS, ISSUER, Issuer

CASES = json.loads((Path(__file__).parents[1] / "cases" / "tokens.json").read_text())["cases"]
# A test cannot stop the gateway's clock; these few run in tests/unit/lua/jose.
EXPECTED: dict[str, dict[str, Any]] = {case["name"]: case for case in CASES if "still_clock" not in case}
assert len(EXPECTED) >= len(CASES) - 2 > 390

CODES = {431: "header_too_large", 401: "token_invalid", 403: "insufficient_scope"}
ROUTE = "/api/users"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def jwks(issuer: Issuer) -> Iterator[Backend]:
    with Backend(lambda _request: key_set(issuer)) as backend:
        yield backend


def policy(jwks: Backend, backend: Backend) -> dict[str, Any]:
    def route(path: str, mode: str = "enforce", issuer: str = "own", **auth: Any) -> dict[str, Any]:
        wanted = {"issuer": issuer, "audience": "data", "scopes": ["users:read"], "mode": mode, **auth}
        return {"prefix": path, "methods": ["GET", "POST"], "upstream": "data", "auth": wanted}

    def issuer(iss: str, **more: Any) -> dict[str, Any]:
        return {"issuer": iss, "jwks": f"{jwks.url}/jwks.json", "algorithms": list(ALGORITHMS), **more}

    return {
        "issuers": {
            "own": issuer(ISSUER),
            "exact": issuer("https://exact.test", skew="0s"),
            "foreign": issuer("https://foreign.test", types=["JWT"]),
        },
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {"rate": {"limit": "10000/s", "burst": 10000}},
        "routes": [
            route(ROUTE),
            route("/api/orders", audience="orders"),
            route("/api/both", scopes=["users:read", "users:write"]),
            route("/api/any", scopes=[]),
            route("/watched", mode="observe"),
            route("/exact", issuer="exact"),
            route("/foreign", issuer="foreign"),
        ],
    }


@pytest.fixture(scope="module")
def gateway(jwks: Backend, backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(jwks, backend)) as running:
        await_keys(running)
        yield running


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client() as running:
        yield running


def await_keys(gateway: Gateway) -> None:
    until(lambda: all(status["keys"] for status in statuses(gateway).values()), "all keys are known")


def event_of(gateway: Gateway, response: httpx.Response) -> dict[str, Any]:
    """The audit event of a request."""
    wanted = response.headers["X-Request-Id"]
    return gateway.wait_for_audit(lambda event: event["request_id"] == wanted)


def bearer(token: str | bytes, scheme: bytes = b"Bearer ") -> dict[bytes, bytes]:
    return {b"Authorization": scheme + (token if isinstance(token, bytes) else token.encode())}


# --- Every token of the case file --------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What came of a token: the answer, the audit event, and whether the service saw the request."""

    response: httpx.Response
    reason: str | None
    forwarded: bool


@pytest.fixture(scope="module")
def outcomes(gateway: Gateway, client: httpx.Client, issuer: Issuer, backend: Backend) -> dict[str, Outcome]:
    seen = {}
    for name, case in EXPECTED.items():
        before = len(backend.requests)
        response = client.get(ROUTE, headers=bearer(issuer.forge(case)))
        seen[name] = response, len(backend.requests) > before
    last = next(response for response, forwarded in reversed(seen.values()) if not forwarded)
    event_of(gateway, last)
    reasons = {event["request_id"]: event["reason"] for event in gateway.audit()}
    return {
        name: Outcome(response, reasons.get(response.headers["X-Request-Id"]), forwarded)
        for name, (response, forwarded) in seen.items()
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_token(outcomes: Mapping[str, Outcome], name: str) -> None:
    case, outcome = EXPECTED[name], outcomes[name]
    response = outcome.response
    if "refused" not in case:
        assert response.status_code == 200
        assert outcome.forwarded
        assert outcome.reason is None
        return
    status = case.get("status", 401)
    assert response.status_code == status
    assert not outcome.forwarded
    problem = response.json()
    assert problem["code"] == CODES[status]
    # The client learns no more than the code; the reason is for the audit log.
    assert outcome.reason
    assert outcome.reason not in response.text
    if status == 401:
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="data", error="invalid_token"'
    if status != 431:
        assert case["refused"] in outcome.reason


def test_every_refused_token_gets_the_same_answer(outcomes: Mapping[str, Outcome]) -> None:
    """But for what names the request itself."""
    answers = set()
    for outcome in outcomes.values():
        response = outcome.response
        if response.status_code == 401:
            problem = response.json()
            del problem["request_id"]
            answers.add((json.dumps(problem), response.headers["WWW-Authenticate"]))
    assert len(answers) == 1


# --- Where the token stands --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"bEaReR "])
def test_the_scheme_has_no_case(client: httpx.Client, issuer: Issuer, scheme: bytes) -> None:
    assert client.get(ROUTE, headers=bearer(issuer.token(), scheme)).status_code == 200


# $ is a good token.
NOT_ONE_TOKEN = [
    b"Bearer", b"bearer", b"Bearer  $", b"Bearer   $", b"Bearer ,$", b"Bearer $,", b"Bearer $,Bearer $",
    b"Bearer $ $", b"Bearer Bearer $", b'Bearer "$"', b"Bearer token=$", b"Bearer $;",
]  # fmt: skip
ANOTHER_SCHEME = [
    b"", b"Basic ZGVtbzpkZW1v", b"DPoP $", b"Token $", b"$", b"Bearer:$", b"Bearer\t$", b"Bearer=$",
    b"BearerX $", b"Negotiate",
]  # fmt: skip


@pytest.mark.parametrize("authorization", NOT_ONE_TOKEN)
def test_a_bearer_that_is_not_exactly_one_token_is_invalid(
    client: httpx.Client, issuer: Issuer, authorization: bytes
) -> None:
    value = authorization.replace(b"$", issuer.token().encode())
    response = client.get(ROUTE, headers={b"Authorization": value})
    assert response.status_code == 401
    assert response.json()["code"] == "token_invalid"
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize("authorization", ANOTHER_SCHEME)
def test_another_scheme_is_no_token_at_all(
    client: httpx.Client, issuer: Issuer, authorization: bytes
) -> None:
    """RFC 6750 section 3.1: no error attribute for who tried nothing that is understood here."""
    value = authorization.replace(b"$", issuer.token().encode())
    response = client.get(ROUTE, headers={b"Authorization": value})
    assert response.status_code == 401
    assert response.json()["code"] == "token_missing"
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="data"'


def test_no_token(client: httpx.Client) -> None:
    response = client.get(ROUTE)
    assert response.status_code == 401
    assert response.json()["code"] == "token_missing"
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="data"'
    assert response.headers["Content-Type"] == "application/problem+json"


def test_the_query_the_body_and_cookies_are_never_read(client: httpx.Client, issuer: Issuer) -> None:
    token = issuer.token()
    elsewhere = [
        client.get(ROUTE, params={"access_token": token}),
        client.get(ROUTE, params={"token": token}),
        client.get(ROUTE, headers={"Cookie": f"access_token={token}; Authorization={token}"}),
        client.get(ROUTE, headers={"X-Authorization": f"Bearer {token}", "Token": token}),
        client.get(ROUTE, headers={"Proxy-Authorization": f"Bearer {token}"}),
        client.post(ROUTE, data={"access_token": token}),
    ]
    assert {response.status_code for response in elsewhere} == {401}
    assert {response.json()["code"] for response in elsewhere} == {"token_missing"}
    # Beside a token in the header it is a parameter like any other.
    assert client.get(ROUTE, params={"access_token": "x"}, headers=bearer(token)).status_code == 200


def test_two_authorization_headers_are_refused(gateway: Gateway, issuer: Issuer, backend: Backend) -> None:
    good, bad = issuer.token(), issuer.forge({"signature": "other key"})
    before = len(backend.requests)
    for first, second in ((good, good), (good, bad), (bad, good)):
        request = (
            f"GET {ROUTE} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {first}\r\nauthorization: Bearer {second}\r\n\r\n"
        )
        assert gateway.raw(request.encode()).startswith(b"HTTP/1.1 400 ")
    assert len(backend.requests) == before


def test_two_authorization_headers_are_refused_over_http_2(gateway: Gateway, issuer: Issuer) -> None:
    headers = [("Authorization", f"Bearer {issuer.token()}")] * 2
    with gateway.client(http2=True) as client:
        assert client.get(ROUTE, headers=headers[:1]).http_version == "HTTP/2"
        assert client.get(ROUTE, headers=headers[:1]).status_code == 200
        assert client.get(ROUTE, headers=headers).status_code == 400


# --- What the route wants ----------------------------------------------------------------------------------


def test_a_scope_that_is_lacking_is_named(client: httpx.Client, issuer: Issuer) -> None:
    response = client.get("/api/both", headers=bearer(issuer.token(scope="users:read")))
    assert response.status_code == 403
    assert response.json()["code"] == "insufficient_scope"
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="data", error="insufficient_scope", scope="users:read users:write"'
    )
    good = bearer(issuer.token(scope="users:write other users:read"))
    assert client.get("/api/both", headers=good).status_code == 200


def test_a_route_without_scopes_takes_a_token_without_any(client: httpx.Client, issuer: Issuer) -> None:
    assert client.get("/api/any", headers=bearer(issuer.token(scope=None))).status_code == 200
    assert client.get("/api/any", headers=bearer(issuer.token(scope=None, aud="other"))).status_code == 401


def test_a_remembered_token_is_judged_anew_for_each_route(client: httpx.Client, issuer: Issuer) -> None:
    headers = bearer(issuer.token(scope="users:read"))
    for _ in range(6):  # on both workers, most likely
        assert client.get(ROUTE, headers=headers).status_code == 200
        assert client.get("/api/orders", headers=headers).status_code == 401
        assert client.get("/api/both", headers=headers).status_code == 403
        assert client.get("/foreign", headers=headers).status_code == 401
        client.headers["Connection"] = "close"
    del client.headers["Connection"]
    both = bearer(issuer.token(aud=["orders", "data"]))
    assert client.get(ROUTE, headers=both).status_code == 200
    assert client.get("/api/orders", headers=both).status_code == 200


def test_a_remembered_token_expires(client: httpx.Client, issuer: Issuer) -> None:
    expires = int(time.time()) + 6
    headers = bearer(issuer.token(iss="https://exact.test", exp=expires))
    assert client.get("/exact", headers=headers).status_code == 200
    until(lambda: client.get("/exact", headers=headers).status_code != 200, "it expires")
    assert time.time() >= expires
    assert client.get("/exact", headers=headers).status_code == 401


def test_exp_equal_to_now_is_refused_without_skew(client: httpx.Client, issuer: Issuer) -> None:
    now = int(time.time())
    token = issuer.token(iss="https://exact.test", exp=now, iat=now - 10)
    assert client.get("/exact", headers=bearer(token)).status_code == 401


def test_the_types_are_the_issuers_own(client: httpx.Client, issuer: Issuer) -> None:
    claims = {"iss": "https://foreign.test"}
    jwt, at_jwt = (issuer.forge({"claims": claims, "header": {"typ": typ}}) for typ in ("JWT", "at+jwt"))
    assert client.get("/foreign", headers=bearer(jwt)).status_code == 200
    assert client.get("/foreign", headers=bearer(at_jwt)).status_code == 401
    assert client.get(ROUTE, headers=bearer(issuer.forge({"header": {"typ": "JWT"}}))).status_code == 401


def test_the_service_learns_who_calls(client: httpx.Client, issuer: Issuer, backend: Backend) -> None:
    headers = bearer(issuer.token(client_id="portal", scope="users:read")) | {
        b"X-Client-Id": b"forged",
        b"X-Scopes": b"admin",
    }
    assert client.get(ROUTE, headers=headers).status_code == 200
    request = backend.requests[-1]
    assert request.header("X-Client-Id") == "portal"
    assert request.header("X-Scopes") == "users:read"


def test_observe_lets_everything_through_and_says_what_it_saw(
    gateway: Gateway, client: httpx.Client, issuer: Issuer, backend: Backend
) -> None:
    for headers, code in (
        ({}, "token_missing"),
        (bearer(issuer.forge({"signature": "other key"})), "token_invalid"),
        (bearer(issuer.token(scope="other")), "insufficient_scope"),
    ):
        response = client.get("/watched", headers=headers)
        assert response.status_code == 200
        assert "WWW-Authenticate" not in response.headers
        event = event_of(gateway, response)
        assert (event["decision"], event["code"], event["guard"]) == ("observed", code, "token")
        if code != "insufficient_scope":
            assert backend.requests[-1].header("X-Client-Id") is None


# --- Floods ------------------------------------------------------------------------------------------------


def test_a_flood_of_unknown_kids_brings_one_fetch(issuer: Issuer, backend: Backend) -> None:
    """A gateway of its own: one unknown kid a minute counts, and other tests send some."""
    with (
        Backend(lambda _request: key_set(issuer)) as jwks,
        Gateway(policy(jwks, backend)) as gateway,
        gateway.client() as client,
    ):
        await_keys(gateway)
        fetched = len(jwks.requests)
        assert fetched == 3  # one for each issuer, whatever the number of workers

        def flood(count: int) -> None:
            for _ in range(count):
                token = issuer.forge({"header": {"kid": f"unknown-{uuid.uuid4()}"}})
                assert client.get(ROUTE, headers=bearer(token)).status_code == 401

        flood(100)
        until(lambda: len(jwks.requests) > fetched, "an unknown kid brings a fetch")
        flood(200)
        time.sleep(2.5)  # twice a worker's tick: a second fetch would have come
        flood(20)
        assert len(jwks.requests) == fetched + 1
        assert statuses(gateway)["own"]["generation"] == 1
        assert client.get(ROUTE, headers=bearer(issuer.token())).status_code == 200


def test_thousands_of_different_tokens_leave_memory_flat(gateway: Gateway, issuer: Issuer) -> None:
    """Good and bad ones: what is remembered is bounded, and what is refused is not remembered."""

    def resident() -> int:
        return max(int(psutil.Process(pid).memory_info().rss) for pid in gateway.worker_pids())

    def spend(count: int) -> None:
        with gateway.client() as client:
            for number in range(count):
                case = {} if number % 2 else {"signature": "other message"}
                token = issuer.forge({"alg": "EdDSA", **case})
                assert client.get(ROUTE, headers=bearer(token)).status_code == (200 if number % 2 else 401)

    spend(500)
    before = resident()
    spend(2000)
    # 1,000 remembered tokens of 3 KB, and what the collector has not got round to.
    assert resident() - before < 16_000_000
