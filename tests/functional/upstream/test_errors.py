"""Errors: problem documents for every status, 4xx for whatever is sent, and nothing of a failure's inside."""

import json
from typing import Any

import pytest
from quart import Quart, Response
from quart.testing import QuartClient
from structlog.testing import capture_logs

from tests.functional.upstream.conftest import bearer, client_of
from upstream.services import services_of

JSON = {"Content-Type": "application/json"}


async def problem_of(response: Response) -> dict[str, Any]:
    assert response.content_type == "application/problem+json"
    problem: dict[str, Any] = await response.get_json()
    assert problem["status"] == response.status_code
    assert problem["request_id"]
    assert {"type", "title", "detail", "code"} <= problem.keys()
    return problem


BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "bad_request"),
    "no JSON": (b"name=Ada", 400, "bad_request"),
    "half of it": (b'{"name": "Ada"', 400, "bad_request"),
    "a name twice": (
        b'{"name": "Ada", "email": "a@example.org", "email": "b@example.org"}',
        400,
        "bad_request",
    ),
    "NaN": (b'{"name": NaN}', 400, "bad_request"),
    "no UTF-8": (b'{"name": "\xff\xfe"}', 400, "bad_request"),
    "UTF-16": ('{"name": "Ada"}'.encode("utf-16"), 400, "bad_request"),
    "NUL": (b"\x00", 400, "bad_request"),
    "nested deeply": (b"[" * 60_000, 400, "bad_request"),
    "nested deeply and closed": (b"[" * 30_000 + b"]" * 30_000, 400, "bad_request"),
    "a number of many digits": (b'{"name": ' + b"9" * 5000 + b"}", 400, "bad_request"),
    "a list": (b"[]", 422, "invalid_body"),
    "null": (b"null", 422, "invalid_body"),
    "text": (b'"Ada"', 422, "invalid_body"),
    "an object without what is needed": (b"{}", 422, "invalid_body"),
    "a field of the wrong type": (b'{"name": {"a": 1}, "email": "a@example.org"}', 422, "invalid_body"),
    "an unknown field": (b'{"name": "Ada", "email": "a@example.org", "admin": true}', 422, "invalid_body"),
    "an escaped NUL": (b'{"name": "Ada\\u0000", "email": "a@example.org"}', 422, "invalid_body"),
    "half a surrogate pair": (b'{"name": "\\ud800", "email": "a@example.org"}', 422, "invalid_body"),
    "a key that is a surrogate": (
        b'{"name": "Ada", "email": "a@example.org", "\\ud800": 1}',
        422,
        "invalid_body",
    ),
    "a body over the bound": (b" " * (64 * 1024 + 1), 413, "request_entity_too_large"),
}


@pytest.mark.parametrize(("body", "status", "code"), BODIES.values(), ids=BODIES.keys())
async def test_a_bad_body(client: QuartClient, body: bytes, status: int, code: str) -> None:
    response = await client.post("/api/users", data=body, headers=bearer() | JSON)
    problem = await problem_of(response)
    assert (response.status_code, problem["code"]) == (status, code)


async def test_a_body_just_within_the_bound_is_read(client: QuartClient) -> None:
    body = json.dumps({"name": "Ada", "email": "a@example.org"}).encode().ljust(64 * 1024)
    response = await client.post("/api/users", data=body, headers=bearer() | JSON)
    assert response.status_code == 201


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "text/json", "application/xml", ""]
)
async def test_another_media_type(client: QuartClient, content_type: str) -> None:
    body = json.dumps({"name": "Ada", "email": "a@example.org"})
    response = await client.post("/api/users", data=body, headers=bearer() | {"Content-Type": content_type})
    assert response.status_code == 415
    await problem_of(response)


async def test_says_what_is_wrong_with_a_body_without_repeating_it(client: QuartClient) -> None:
    body = {"name": "secret\x00", "email": "not-an-address", "a/b~c": 1}
    response = await client.post("/api/users", json=body, headers=bearer())
    problem = await problem_of(response)
    assert sorted(error["where"] for error in problem["errors"]) == ["/a~1b~0c", "/email", "/name"]
    text = await response.get_data(as_text=True)
    assert "secret" not in text
    assert "not-an-address" not in text
    assert "pydantic" not in text


async def test_a_thousand_mistakes_make_a_short_answer(client: QuartClient) -> None:
    response = await client.post(
        "/api/users", json={f"f{number}": 1 for number in range(1000)}, headers=bearer()
    )
    assert len((await problem_of(response))["errors"]) == 20


QUERIES = [
    "limit=0",
    "limit=101",
    "limit=x",
    "limit=1&limit=2",
    "after=-1",
    "after=" + "9" * 5000,
    "q=",
    "q=%00",
    "offset=1",
]
QUERIES += ["q[]=a", "=1", "limit", "q=" + "a" * 101, "%ff=1"]


@pytest.mark.parametrize("query", QUERIES)
async def test_a_bad_query(client: QuartClient, query: str) -> None:
    response = await client.get(f"/api/users?{query}", headers=bearer())
    problem = await problem_of(response)
    assert (response.status_code, problem["code"]) == (400, "bad_query")


async def test_invalid_utf_8_in_a_query_is_no_failure(client: QuartClient) -> None:
    response = await client.get("/api/users?q=%ff%fe", headers=bearer())
    assert response.status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/user", "/api/users/", "/api//users", "/api/users/7/x", "/docs"]
)
async def test_an_unknown_path(client: QuartClient, path: str) -> None:
    response = await client.get(path, headers=bearer())
    assert (response.status_code, (await problem_of(response))["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/users", {"GET", "HEAD", "POST"}),
        ("PUT", "/api/users/1", {"GET", "HEAD"}),
        ("OPTIONS", "/api/users", {"GET", "HEAD", "POST"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("TRACE", "/api/users", {"GET", "HEAD", "POST"}),
        ("BREW", "/api/users", {"GET", "HEAD", "POST"}),
    ],
)
async def test_a_wrong_method(client: QuartClient, method: str, path: str, allowed: set[str]) -> None:
    response = await client.open(path, method=method, headers=bearer())
    assert (response.status_code, (await problem_of(response))["code"]) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == allowed


async def test_a_plain_request_to_the_websocket(client: QuartClient) -> None:
    response = await client.get("/api/users/live", headers=bearer())
    assert response.status_code == 400
    await problem_of(response)


async def test_a_failure_is_logged_and_tells_the_client_nothing(
    app: Quart, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(type(services_of(app).users), "list", fail)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    response = await client_of(app).get("/api/users", headers=bearer() | {"X-Request-Id": "r-1"})
    problem = await problem_of(response)
    assert (response.status_code, problem["code"], problem["request_id"]) == (500, "internal_error", "r-1")
    text = await response.get_data(as_text=True)
    assert "swordfish" not in text
    assert "Traceback" not in text
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None
    assert "swordfish" in str(record.exc_info[1])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-1.2_3", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("a\x00", False)],
)
async def test_takes_over_the_gateways_request_id(client: QuartClient, sent: str, kept: bool) -> None:
    response = await client.get("/nowhere", headers={"X-Request-Id": sent})
    assert ((await problem_of(response))["request_id"] == sent) is kept


async def test_every_request_is_logged_once_and_never_with_its_token(client: QuartClient) -> None:
    headers = bearer(client_id="ada")
    with capture_logs() as events:
        await client.get("/api/users?q=secret", headers=headers)
    (event,) = [event for event in events if event["event"] == "request"]
    assert (event["method"], event["path"], event["status"], event["client_id"]) == (
        "GET",
        "/api/users",
        200,
        "ada",
    )
    assert headers["Authorization"].split(".")[2] not in repr(events)
    assert "secret" not in repr(events)
