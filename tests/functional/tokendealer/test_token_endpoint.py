"""The token endpoint, line by line of RFC 6749 and its companions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from quart import Quart
from quart.typing import TestClientProtocol as Client

from tests.functional.tokendealer.requests import FORM, TOKEN, basic, post
from tests.support.tokendealer import API, ODD_ID, ODD_SECRET, Prepared

GRANT = {"grant_type": "client_credentials"}


@dataclass(frozen=True)
class Case:
    """A request that is refused.

    Attributes:
        section: Where it is written.
        form: The body; `ID` and `SECRET` stand for the client's.
        who: The client that asks.
        by: How it authenticates: in the body, by Basic, both, or not at all.
        status: What is answered.
        error: The `error` of the answer.
        headers: More headers.
    """

    section: str
    form: Any
    who: str = "several"
    by: str = "basic"
    status: int = 400
    error: str = "invalid_request"
    headers: dict[str, str] = field(default_factory=dict)


ASK = {**GRANT, "audience": "data"}
EVERY = "users:read users:write"
NEW_SECRET = "c2VjcmV0LXRoYXQtbm9ib2R5LWhhcy1ldmVyLWhhZA"

FORBIDDEN: dict[str, Any] = {"status": 401, "error": "invalid_client"}
SCOPE: dict[str, Any] = {"error": "invalid_scope"}
TARGET: dict[str, Any] = {"error": "invalid_target"}
GRANT_TYPE: dict[str, Any] = {"error": "unsupported_grant_type"}
JSON = b'{"grant_type":"client_credentials"}'
ASSERTION = {"client_assertion": "e30.e30.e30"}


def nobody(section: str, form: Any, authorization: str | None = None, **expected: Any) -> Case:
    """Return a case in which the form and an Authorization header are all there is."""
    headers = {} if authorization is None else {"Authorization": authorization}
    return Case(section, form, by="none", headers=headers, **expected)


REFUSED = {
    "no grant_type": Case("RFC 6749 5.2", {"audience": "data"}),
    "empty grant_type": Case("RFC 6749 3.2", {"grant_type": "", "audience": "data"}),
    "password grant": Case("RFC 6749 5.2", {"grant_type": "password"}, **GRANT_TYPE),
    "refresh_token grant": Case("RFC 6749 4.4.3", {"grant_type": "refresh_token"}, **GRANT_TYPE),
    "grant in capitals": Case("RFC 6749 4.4.2", {"grant_type": "CLIENT_CREDENTIALS"}, **GRANT_TYPE),
    "repeated grant_type": Case("RFC 6749 3.2", [*ASK.items(), *GRANT.items()]),
    "repeated scope": Case("RFC 6749 3.2", [*ASK.items(), ("scope", "users:read"), ("scope", "users:read")]),
    "repeated audience": Case("RFC 6749 3.2", [*ASK.items(), ("audience", "data")]),
    "repeated client_id": Case("RFC 6749 3.2", [*ASK.items(), *[("client_id", "several")] * 2]),
    "repeated client_secret": nobody("RFC 6749 3.2", [*ASK.items(), *[("client_secret", "a")] * 2]),
    "repeated, once empty": Case("RFC 6749 3.2", [*ASK.items(), ("grant_type", "")]),
    "Basic and secret in the body": Case("RFC 6749 2.3", ASK, by="both"),
    "Basic and another secret in the body": Case("RFC 6749 2.3", {**ASK, "client_secret": NEW_SECRET}),
    "Basic and an assertion": Case("RFC 6749 2.3", {**ASK, **ASSERTION}),
    "secret and assertion in the body": Case("RFC 6749 2.3", {**ASK, **ASSERTION}, by="body"),
    "client_id unlike Basic's": Case("RFC 6749 3.2.1", {**ASK, "client_id": "reader"}),
    "JSON": Case("RFC 6749 4.4.2", JSON, headers={"Content-Type": "application/json"}),
    "JSON that says it is a form": Case("RFC 6749 4.4.2", JSON),
    "multipart form": Case("RFC 6749 4.4.2", ASK, headers={"Content-Type": "multipart/form-data;boundary=x"}),
    "no content type": Case("RFC 6749 4.4.2", ASK, headers={"Content-Type": ""}),
    "form that is not UTF-8": Case("RFC 6749 B", b"grant_type=client_credentials&audience=%FF"),
    "raw bytes that are not UTF-8": Case("RFC 6749 B", b"grant_type=client_credentials&audience=\xff"),
    "broken percent-encoding": Case("RFC 6749 B", b"grant_type=client_credentials&audience=%4"),
    "empty body": Case("RFC 6749 5.2", b""),
    "Basic that is not base64": nobody("RFC 7617 2", ASK, "Basic !!!"),
    "Basic without a colon": nobody("RFC 7617 2", ASK, "Basic c2V2ZXJhbA=="),
    "Basic that is not UTF-8": nobody("RFC 6749 2.3.1", ASK, "Basic /zr/"),
    "Basic with a bad escape": nobody("RFC 6749 2.3.1", ASK, "Basic YTolWlo="),
    "no credentials": nobody("RFC 6749 5.2", ASK, **FORBIDDEN),
    "client_id alone": nobody("RFC 6749 5.2", {**ASK, "client_id": "several"}, **FORBIDDEN),
    "secret alone": nobody("RFC 6749 5.2", {**ASK, "client_secret": NEW_SECRET}, **FORBIDDEN),
    "empty secret": nobody("RFC 6749 3.2", {**ASK, "client_id": "demo", "client_secret": ""}, **FORBIDDEN),
    "an assertion alone": nobody("RFC 7521 4.2", {**ASK, "client_id": "demo", **ASSERTION}, **FORBIDDEN),
    "another scheme": nobody("RFC 6749 5.2", ASK, "Bearer abc", **FORBIDDEN),
    "empty Basic": nobody("RFC 6749 5.2", ASK, "Basic Og==", **FORBIDDEN),
    "disabled, in the body": Case("RFC 6749 5.2", ASK, who="gone", by="body", **FORBIDDEN),
    "disabled, by Basic": Case("RFC 6749 5.2", ASK, who="gone", **FORBIDDEN),
    "more scope than registered": Case("RFC 6749 3.3", {**ASK, "scope": EVERY}, who="reader", **SCOPE),
    "unknown scope": Case("RFC 6749 3.3", {**ASK, "scope": "users"}, **SCOPE),
    "two spaces": Case("RFC 6749 3.3", {**ASK, "scope": "users:read  users:write"}, **SCOPE),
    "a tab": Case("RFC 6749 3.3", {**ASK, "scope": "users:read\tusers:write"}, **SCOPE),
    "a quote": Case("RFC 6749 3.3", {**ASK, "scope": 'users:read"'}, **SCOPE),
    "a scope for the client of none": Case("RFC 6749 3.3", {**ASK, "scope": "a"}, who="bare", **SCOPE),
    "no audience, and two to choose from": Case("RFC 8707 2", GRANT, **TARGET),
    "unknown audience": Case("RFC 8707 2", {**GRANT, "audience": "date"}, **TARGET),
    "prefix of an audience": Case("RFC 8707 2", {**GRANT, "audience": "dat"}, **TARGET),
    "another client's audience": Case("RFC 8707 2", {**GRANT, "audience": API}, who="reader", **TARGET),
    "another client's resource": Case("RFC 8707 2", {**GRANT, "resource": API}, who="reader", **TARGET),
    "resource that is no URI": Case("RFC 8707 2", {**GRANT, "resource": "data"}, **TARGET),
    "resource with a fragment": Case("RFC 8707 2", {**GRANT, "resource": API + "#a"}, **TARGET),
    "two audiences": Case("RFC 8707 2", {**ASK, "resource": API}, **TARGET),
    "two resources": Case(
        "RFC 8707 2", [*GRANT.items(), ("resource", API), ("resource", API + "/2")], **TARGET
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_refused(client: Client, prepared: Prepared, case: Case, events: list[Any]) -> None:
    who = prepared.clients[case.who]
    form, headers = case.form, dict(case.headers)
    if case.by in {"basic", "both"}:
        headers["Authorization"] = basic(who.client_id, who.secret)
    if case.by in {"body", "both"}:
        form = {**form, "client_id": who.client_id, "client_secret": who.secret}

    answer = await post(client, form, headers)

    body = await answer.get_json()
    assert (answer.status_code, body["error"]) == (case.status, case.error), case.section
    assert set(body) == {"error", "error_description"}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.headers.get("WWW-Authenticate", "").startswith("Basic realm=") == (case.status == 401)
    (event,) = [event for event in events if event["event"] == "request_refused"]
    assert event["request_id"] == answer.headers["X-Request-Id"]
    assert event["reason"]
    assert who.secret not in str(events)


GRANTED: dict[str, tuple[str, str, Any, str, str | None]] = {
    # who, by, form; the audience and the scope of the token
    "by Basic": ("several", "basic", ASK, "data", EVERY),
    "in the body": ("several", "body", ASK, "data", EVERY),
    "client_id like Basic's": ("several", "basic", {**ASK, "client_id": "several"}, "data", EVERY),
    "empty secret beside Basic": ("several", "basic", {**ASK, "client_secret": ""}, "data", EVERY),
    "empty scope": ("several", "basic", {**ASK, "scope": ""}, "data", EVERY),
    "less scope": ("several", "basic", {**ASK, "scope": "users:read"}, "data", "users:read"),
    "scope said twice": ("reader", "basic", {**ASK, "scope": "users:read users:read"}, "data", "users:read"),
    "all scope": ("several", "basic", {**ASK, "scope": EVERY}, "data", EVERY),
    "no scope at all": ("bare", "basic", ASK, "data", None),
    "the only audience": ("reader", "basic", GRANT, "data", "users:read"),
    "empty audience": ("reader", "basic", {**GRANT, "audience": ""}, "data", "users:read"),
    "resource": ("several", "basic", {**GRANT, "resource": API}, API, EVERY),
    "resource said twice": ("several", "basic", [*GRANT.items(), *[("resource", API)] * 2], API, EVERY),
    "audience that is a URI": ("several", "basic", {**GRANT, "audience": API}, API, EVERY),
    "audience and resource": ("several", "basic", {**GRANT, "audience": API, "resource": API}, API, EVERY),
    "unknown parameters": ("several", "basic", [*ASK.items(), ("x", "1"), ("x", "2")], "data", EVERY),
    "odd secret by Basic": (ODD_ID, "basic", GRANT, "data", "users:read"),
    "odd secret in the body": (ODD_ID, "body", GRANT, "data", "users:read"),
}


@pytest.mark.parametrize(("who", "by", "form", "audience", "scope"), GRANTED.values(), ids=GRANTED.keys())
async def test_what_is_granted(
    client: Client,
    prepared: Prepared,
    who: str,
    by: str,
    form: Any,
    audience: str,
    scope: str | None,
) -> None:
    registered = prepared.clients[who]
    headers = {}
    if by == "basic":
        headers["Authorization"] = basic(registered.client_id, registered.secret)
    else:
        form = {**form, "client_id": registered.client_id, "client_secret": registered.secret}

    answer = await post(client, form, headers)

    body = await answer.get_json()
    assert answer.status_code == 200, body
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    expected = {"token_type": "Bearer", "expires_in": 3600} | ({} if scope is None else {"scope": scope})
    token = body.pop("access_token")
    assert body == expected
    keys = jwt.PyJWKSet.from_dict(await (await client.get("/.well-known/jwks.json")).get_json())
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(
        token, keys[header["kid"]], algorithms=["EdDSA"], audience=audience, issuer="https://localhost:8443"
    )
    assert header == {"typ": "at+jwt", "alg": "EdDSA", "kid": keys.keys[0].key_id}  # RFC 9068 section 2.1
    assert claims["sub"] == claims["client_id"] == registered.client_id
    assert claims["aud"] == audience
    assert claims.get("scope") == scope
    assert claims["exp"] - claims["iat"] == 3600


def test_the_odd_secret_needs_every_encoding() -> None:
    header = basic(ODD_ID, ODD_SECRET)
    assert all(part in ODD_SECRET for part in (":", "+", " ", "%25", "ä", "€", '"', "\\"))
    assert ":" in ODD_ID
    assert header.isascii()


async def test_each_token_is_another(client: Client, prepared: Prepared) -> None:
    who = prepared.clients["reader"]
    seen = set()
    for _ in range(3):
        answer = await post(client, GRANT, {"Authorization": basic(who.client_id, who.secret)})
        token = (await answer.get_json())["access_token"]
        seen.add(jwt.decode(token, options={"verify_signature": False})["jti"])
    assert len(seen) == 3


async def test_unknown_wrong_and_disabled_cannot_be_told_apart(
    client: Client, prepared: Prepared, events: list[Any]
) -> None:
    """RFC 6749 section 5.2: one answer, byte by byte, headers included; only the log knows more."""
    gone, reader = prepared.clients["gone"], prepared.clients["reader"]
    attempts = {
        "unknown client": ("nobody", NEW_SECRET),
        "wrong secret": ("reader", NEW_SECRET),
        "disabled client": ("gone", gone.secret),
    }
    answers = set()
    for client_id, secret in attempts.values():
        answer = await post(client, GRANT, {"Authorization": basic(client_id, secret)})
        headers = tuple(
            sorted((name, value) for name, value in answer.headers.items() if name.lower() != "x-request-id")
        )
        answers.add((answer.status_code, headers, await answer.get_data(as_text=False)))
    assert len(answers) == 1
    assert [event["reason"] for event in events] == list(attempts)
    assert (await post(client, GRANT, {"Authorization": basic("reader", reader.secret)})).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_post_only(client: Client, method: str) -> None:
    """RFC 6749 section 3.2."""
    answer = await client.open(TOKEN, method=method, json=None)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "query",
    [
        "client_secret=SECRET",
        "a=b&client_secret=SECRET&client_id=reader",
        "client%5Fsecret=SECRET",
        "client_secret=SECRET&%FF",
        "access_token=SECRET",
        "client_assertion=SECRET",
        "password=SECRET",
    ],
)
async def test_a_secret_in_the_url_is_refused_and_flagged(
    client: Client, prepared: Prepared, query: str, events: list[Any]
) -> None:
    """RFC 6749 section 2.3.1, and although the right credentials stand in the body."""
    who = prepared.clients["reader"]
    form = {**GRANT, "client_id": who.client_id, "client_secret": who.secret}

    answer = await post(client, form, path=f"{TOKEN}?{query.replace('SECRET', who.secret)}")

    assert answer.status_code == 400
    assert (await answer.get_json())["error"] == "invalid_request"
    (event,) = events
    assert event["log_level"] == "warning"
    assert "in the query" in event["reason"]
    assert who.secret not in str(events)
    assert (await post(client, form, path=f"{TOKEN}?{query.partition('=')[0]}x=1")).status_code == 200


async def test_a_secret_in_the_url_of_a_get_is_flagged(client: Client, events: list[Any]) -> None:
    answer = await client.get(
        f"{TOKEN}?grant_type=client_credentials&client_id=reader&client_secret={NEW_SECRET}"
    )
    assert answer.status_code == 400
    assert events[0]["log_level"] == "warning"


async def test_two_authorization_headers(app: Quart, prepared: Prepared) -> None:
    """RFC 6749 section 2.3: even if they are alike."""
    who = prepared.clients["reader"]
    test_client = app.test_client()
    header = basic(who.client_id, who.secret)
    answer = await test_client.post(
        TOKEN,
        data=b"grant_type=client_credentials",
        headers=[("Content-Type", FORM), ("Authorization", header), ("Authorization", header)],
    )
    assert answer.status_code == 400
    assert (await answer.get_json())["error"] == "invalid_request"


async def test_the_scheme_is_case_insensitive(client: Client, prepared: Prepared) -> None:
    """RFC 9110 section 11.1."""
    who = prepared.clients["reader"]
    header = basic(who.client_id, who.secret).replace("Basic ", "bASIC ")
    assert (await post(client, GRANT, {"Authorization": header})).status_code == 200


async def test_a_charset_parameter_is_no_obstacle(client: Client, prepared: Prepared) -> None:
    who = prepared.clients["reader"]
    headers = {
        "Authorization": basic(who.client_id, who.secret),
        "Content-Type": f"{FORM.upper()} ; charset=utf-8",
    }
    assert (await post(client, GRANT, headers)).status_code == 200


async def test_an_issue_is_logged_without_the_token(
    client: Client, prepared: Prepared, events: list[Any]
) -> None:
    who = prepared.clients["reader"]
    request_id = "0123456789abcdef0123456789abcdef"
    headers = {"Authorization": basic(who.client_id, who.secret), "X-Request-Id": request_id}

    answer = await post(client, GRANT, headers)

    token = (await answer.get_json())["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert answer.headers["X-Request-Id"] == request_id
    assert events == [
        {
            "event": "token_issued",
            "log_level": "info",
            "request_id": request_id,
            "client_id": "reader",
            "audience": "data",
            "scope": "users:read",
            "jti": claims["jti"],
            "expires_at": claims["exp"],
        }
    ]


@pytest.mark.parametrize(
    "given", ["short", "a" * 65, "has a space in it", "quote\"and'more", "ünïcödé-identifier", ""]
)
async def test_a_request_id_that_could_upset_a_log_is_replaced(
    client: Client, given: str, events: list[Any]
) -> None:
    answer = await post(client, GRANT, {"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] != given
    assert len(answer.headers["X-Request-Id"]) == 32
    assert events[0]["request_id"] == answer.headers["X-Request-Id"]


async def test_text_of_the_callers_stays_out_of_the_log(client: Client, events: list[Any]) -> None:
    odd = "x\x1b[31m\nlevel=error"
    await post(client, {**GRANT, "client_id": odd, "client_secret": NEW_SECRET})
    (event,) = events
    assert event["client_id"] is None
    assert odd not in str(event.values())
