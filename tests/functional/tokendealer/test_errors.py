"""Whatever the internet sends gets a 4xx; what goes wrong inside gets a bare 500 and an entry in the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quart import Quart
from quart.typing import TestClientProtocol as Client

from tests.functional.tokendealer.asgi import ask, http_scope
from tests.functional.tokendealer.requests import FORM, post
from tokendealer import connection
from tokendealer.rfc6749.errors import PublicError
from tokendealer.service import Service

FORM_HEADER = (b"content-type", FORM.encode())


def oauth_error(body: bytes) -> str:
    document = json.loads(body)
    assert set(document) == {"error", "error_description"}
    return str(document["error"])


UNKNOWN_PATHS = [
    "/",
    "/oauth",
    "/oauth/token/",
    "/oauth//token",
    "/oauth/token/..",
    "/OAUTH/TOKEN",
    "/static/a",
    "*",
]
UNKNOWN_PATHS += [
    "/docs",
    "/redocs",
    "/.well-known/",
    "/a\x00b",
    "/\ufffd",
    "/oauth/token\n",
    "/oauth\\token",
]


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
async def test_an_unknown_path_is_not_found_and_never_redirected(app: Quart, path: str) -> None:
    answer = await ask(app, "POST", path)
    assert (answer.status, oauth_error(answer.body)) == (404, "not_found")
    assert "location" not in answer.headers


@pytest.mark.parametrize("host", [b"evil.example", b"", b"a b", b"\xff", b"[", b"x:99999999", b"a" * 5000])
async def test_the_host_header_has_no_say(app: Quart, host: bytes) -> None:
    answer = await ask(app, "GET", "/.well-known/oauth-authorization-server", headers=[(b"host", host)])
    assert answer.status == 200
    assert json.loads(answer.body)["issuer"] == "https://localhost:8443"


async def test_a_target_without_a_path(app: Quart, events: list[Any]) -> None:
    answer = await ask(app, "GET", "", b"x")
    assert (answer.status, oauth_error(answer.body)) == (400, "invalid_request")
    assert events[0]["request_id"] == answer.headers["x-request-id"]


async def test_a_target_in_absolute_form(app: Quart) -> None:
    """RFC 9112 section 3.2.2: to be taken, and its host means as little as the Host header."""
    answer = await ask(app, "GET", "http://evil.example/.well-known/oauth-authorization-server")
    assert answer.status == 200
    assert json.loads(answer.body)["issuer"] == "https://localhost:8443"


@pytest.mark.parametrize("path", ["/oauth/token", "/verify_token"])
async def test_a_body_over_the_bound(app: Quart, path: str) -> None:
    size = connection.BODY_BYTES
    declared = [FORM_HEADER, (b"content-length", str(size + 1).encode())]
    full = b"x=" + b"a" * (size - 2)
    asked: list[tuple[Iterable[tuple[bytes, bytes]], list[bytes], int]] = [
        (declared, [b"x"], 413),
        ([FORM_HEADER], [full, b"a"], 413),
        ([FORM_HEADER], [b"a" * 1000] * 100, 413),
        ([FORM_HEADER], [full], 400),
    ]
    for headers, chunks, status in asked:
        answer = await ask(app, "POST", path, headers=headers, chunks=chunks)
        assert (answer.status, oauth_error(answer.body)) == (status, "invalid_request")
        assert answer.headers["cache-control"] == "no-store"


async def test_a_body_that_does_not_come(
    app: Quart, monkeypatch: pytest.MonkeyPatch, events: list[Any]
) -> None:
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.01)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(http_scope("POST", "/oauth/token", headers=[FORM_HEADER]), receive, send)
    assert sent[0]["status"] == 408
    assert oauth_error(sent[1]["body"]) == "invalid_request"
    assert events[0]["reason"] == "request_timeout"


async def test_a_client_that_goes_away_while_it_sends(app: Quart, events: list[Any]) -> None:
    answer = await ask(app, "POST", "/oauth/token", headers=[FORM_HEADER], chunks=[])
    assert answer.status == 0
    assert events == []


async def test_an_unexpected_exception(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch, events: list[Any]
) -> None:
    secret = "the-secret-in-the-request"

    def fail(*_: object) -> None:
        raise RuntimeError("the inner trouble")

    monkeypatch.setattr(type(service.token_endpoint), "grant", fail)
    answer = await post(
        client, {"grant_type": "client_credentials", "client_id": "a", "client_secret": secret}
    )

    assert answer.status_code == 500
    text = await answer.get_data(as_text=True)
    assert oauth_error(text.encode()) == "server_error"
    assert "trouble" not in text
    (event,) = events
    assert (event["event"], event["log_level"]) == ("request_failed", "error")
    assert event["request_id"] == answer.headers["X-Request-Id"]
    assert isinstance(event["exc_info"], RuntimeError)
    assert secret not in str(event)


async def test_a_stale_registry_is_not_served_from(
    client: Client, monkeypatch: pytest.MonkeyPatch, events: list[Any]
) -> None:
    assert (await client.get("/healthz")).status_code == 200
    monkeypatch.setattr("tokendealer.client_directory.STALE_SECONDS", -1.0)

    health = await client.get("/healthz")
    answer = await post(client, {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"})

    assert health.status_code == 503
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert (await answer.get_json())["error"] == "temporarily_unavailable"
    assert events[-1]["log_level"] == "warning"


def test_every_text_keeps_to_the_allowed_characters() -> None:
    """RFC 6749 section 5.2: %x20-21 / %x23-5B / %x5D-7E."""
    for error in PublicError:
        for text in (error.error, error.description):
            assert text
            assert all(" " <= character <= "~" and character not in '"\\' for character in text)
        assert error.status >= 400


FIELDS = st.sampled_from(
    ["grant_type", "client_id", "client_secret", "scope", "audience", "resource", "access_token"]
)
NEARLY_FORMS = st.lists(
    st.tuples(FIELDS, st.text(max_size=20) | st.just("client_credentials")), max_size=8
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode("utf-8", "surrogatepass"))
AUTHORIZATIONS = st.binary(max_size=60) | st.builds(
    lambda scheme, rest: scheme + b" " + rest,
    st.sampled_from([b"Basic", b"basic", b"Bearer"]),
    st.binary(max_size=60),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    path=st.sampled_from(["/oauth/token", "/verify_token"]) | st.text(max_size=30),
    method=st.sampled_from(["POST", "GET", "PUT", "OPTIONS"]),
    query=st.binary(max_size=40),
    body=st.binary(max_size=200) | NEARLY_FORMS,
    authorization=st.lists(AUTHORIZATIONS, max_size=2),
    content_type=st.just(FORM.encode()) | st.binary(max_size=40),
)
async def test_no_bytes_make_a_5xx(
    app: Quart,
    path: str,
    method: str,
    query: bytes,
    body: bytes,
    authorization: list[bytes],
    content_type: bytes,
) -> None:
    headers = [(b"content-type", content_type), *((b"authorization", value) for value in authorization)]
    answer = await ask(app, method, path, query, headers, [body])
    assert 400 <= answer.status < 500
    assert oauth_error(answer.body)
