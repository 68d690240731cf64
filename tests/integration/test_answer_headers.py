"""What a client sees: security headers once on every answer, and nothing of what lies behind the gateway."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.support.backend import Backend, Response
from tests.support.gateway import Gateway
from tests.support.ports import free_port
from tests.support.raw import status_of
from tests.support.wire import BOTH_VERSIONS, Seen, ask, fields_of


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    nobody = f"http://127.0.0.1:{free_port()}"
    issuer = {"issuer": "https://issuer.test", "jwks": nobody, "algorithms": ["EdDSA"]}
    auth = {"issuer": "own", "audience": "data", "scopes": []}
    policy = {
        "listen": {"http": {"redirect": False}},
        "issuers": {"own": issuer},
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {"rate": {"limit": "100000/s", "burst": 100000}},
        "routes": [
            {"prefix": "/", "methods": ["GET", "POST"], "upstream": "data", "auth": "none"},
            {"prefix": "/api", "methods": ["GET"], "upstream": "data", "auth": auth},
        ],
    }
    with Gateway(policy) as running:
        running.expect_error("client intended to send too large body")
        # The issuer is nobody, so its routes answer 503.
        running.expect_error(re.escape(nobody.removeprefix("http://")) + "|issuer own: no new key set")
        yield running


@pytest.fixture(autouse=True)
def _usual_answers(backend: Backend) -> None:
    backend.forget()
    backend.respond = lambda _request: Response()


SECURITY: Final = {
    "Strict-Transport-Security": r"max-age=\d{8,}.*",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN|DENY",
    "Referrer-Policy": ".+",
}


def assert_secured(answer: Seen, *, https: bool = True) -> None:
    for name, pattern in SECURITY.items():
        if name == "Strict-Transport-Security" and not https:
            assert answer.all(name) == []
            continue
        (value,) = answer.all(name)
        assert re.fullmatch(pattern, value)
    assert answer.all("Server") in ([], ["nginx"])
    assert answer.all("X-Powered-By") == []
    assert len(answer.all("X-Request-Id")) == 1
    assert len(answer.all("Date")) == 1


@BOTH_VERSIONS
def test_success_carries_security_headers(gateway: Gateway, backend: Backend, version: str) -> None:
    assert_secured(ask(gateway, backend, version=version))


REFUSALS: Final = {
    "guard": (b"GET /api/users HTTP/1.1\r\nHost: a\r\n\r\n", 503),
    "bad path": (b"GET /a//b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "bad host": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "bad name": (b"GET / HTTP/1.1\r\nHost: a\r\nX(: 1\r\n\r\n", 400),
    "wrong method": (b"DELETE /api/users HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "nginx: no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "nginx: bad request line": (b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "nginx: body over the cap": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", 413),
    "nginx: coding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    "nginx: TRACE": (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "nginx: long header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20000 + b"\r\n\r\n", 431),
    "nginx: long line": (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
}


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(("data", "status"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_carry_security_headers(
    gateway: Gateway, backend: Backend, data: bytes, status: int, tls: bool
) -> None:
    raw = gateway.raw(data, tls=tls)
    answer = Seen(status_of(raw), fields_of(raw), None)
    assert answer.status == status
    assert_secured(answer, https=tls)
    assert answer.all("Content-Type") == ["application/problem+json"]
    assert answer.all("Cache-Control") == ["no-store"]
    assert json.loads(raw.partition(b"\r\n\r\n")[2])["request_id"] == answer.all("X-Request-Id")[0]
    assert backend.requests == []


def test_a_failing_upstream_is_secured_and_hidden(gateway: Gateway, backend: Backend) -> None:
    gateway.expect_error("upstream sent (invalid header|no valid HTTP/1.0 header)|prematurely closed")
    backend.respond = lambda _request: Response(
        takeover=lambda connection: connection.sendall(
            b"HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nbro ken\r\n\r\n"
        )
    )
    answer = ask(gateway, backend)
    assert answer.status == 502
    assert_secured(answer)


def test_plain_http_says_nothing_of_https(gateway: Gateway, backend: Backend) -> None:
    # RFC 6797 section 7.2: never over http.
    assert_secured(ask(gateway, backend, tls=False), https=False)


OWN: Final = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'",
    "Cache-Control": "public, max-age=60",
    "ETag": '"1"',
    "X-Custom": "kept",
}


@BOTH_VERSIONS
def test_the_upstreams_own_headers_are_not_doubled(gateway: Gateway, backend: Backend, version: str) -> None:
    backend.respond = lambda _request: Response(headers=tuple(OWN.items()))
    answer = ask(gateway, backend, version=version)
    for name, value in OWN.items():
        assert answer.all(name) == [value], name


def test_what_an_upstream_is_made_of_is_not_told(gateway: Gateway, backend: Backend) -> None:
    backend.respond = lambda _request: Response(
        headers=(("Server", "upstream/1.2.3"), ("X-Powered-By", "PHP/5.2"), ("X-Powered-By", "more"))
    )
    assert_secured(ask(gateway, backend))


def test_an_upstream_cannot_steer_nginx(gateway: Gateway, backend: Backend) -> None:
    steering = ("X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Charset")
    backend.respond = lambda request: Response(
        headers=tuple((name, "/.bartizan/refused" if "Redirect" in name else "1") for name in steering),
        body=request.target.encode(),
    )
    answer = ask(gateway, backend, target="/steer")
    assert answer.status == 200
    assert [name for name in steering if answer.all(name)] == []


def test_cookies_and_redirects_of_the_upstream_pass(gateway: Gateway, backend: Backend) -> None:
    fields: list[Any] = [("Set-Cookie", "a=1; Secure"), ("Set-Cookie", "b=2"), ("Location", "/next?a=1")]
    backend.respond = lambda _request: Response(status=302, headers=tuple(fields))
    answer = ask(gateway, backend)
    assert answer.status == 302
    assert answer.all("Set-Cookie") == ["a=1; Secure", "b=2"]
    assert answer.all("Location") == ["/next?a=1"]
