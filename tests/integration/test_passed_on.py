"""What passes the gateway, and what ends with the hop: traces, cookies, bodies, upgrades, ordinary fields."""

import re
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway
from tests.support.http2 import Connection
from tests.support.http2 import request as pseudo
from tests.support.wire import BOTH_VERSIONS, HTTP2, ask, port_of


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    policy = {
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {"rate": {"limit": "100000/s", "burst": 100000}},
        "routes": [{"prefix": "/", "methods": methods, "upstream": "data", "auth": "none"}],
    }
    with Gateway(policy) as running:
        yield running


@pytest.fixture(autouse=True)
def _usual_answers(backend: Backend) -> None:
    backend.forget()
    backend.respond = lambda _request: Response()


# --- One hop only ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "gone"),
    [
        ("X-Internal", ["X-Internal"]),
        ("close, X-Internal", ["X-Internal"]),
        ("x-internal,X-OTHER", ["X-Internal", "X-Other"]),
        (" , X-Internal ,,", ["X-Internal"]),
        ("keep-alive, TE, X-Internal", ["X-Internal", "TE"]),
        ("upgrade", ["Upgrade"]),
    ],
)
def test_what_connection_lists_ends_here(
    gateway: Gateway, backend: Backend, listed: str, gone: list[str]
) -> None:
    fields = [("Connection", listed), ("X-Internal", "1"), ("X-Other", "2"), ("TE", "trailers")]
    fields += [("Upgrade", "h2c"), ("X-Stays", "3")]
    request = ask(gateway, backend, fields).request
    assert [name for name in gone if request.all(name)] == []
    assert request.header("X-Stays") == "3"
    if "X-Other" not in gone:
        assert request.header("X-Other") == "2"


def test_connection_in_several_fields_is_read_whole(gateway: Gateway, backend: Backend) -> None:
    fields = [("Connection", "X-A"), ("X-A", "1"), ("X-B", "2"), ("Connection", "X-B")]
    request = ask(gateway, backend, fields).request
    assert request.all("X-A") == request.all("X-B") == []


def test_connection_is_refused_on_http2(gateway: Gateway, backend: Backend) -> None:
    # RFC 9113 section 8.2.2 has no Connection there: nothing may slip through.
    seen = ask(gateway, backend, [("connection", "x-internal"), ("x-internal", "1")], version=HTTP2)
    assert (seen.status, seen.upstream) == (400, None)


@pytest.mark.parametrize("name", ["X-Real-IP", "X-Forwarded-For", "X-Request-Id", "Traceparent"])
def test_connection_takes_nothing_away_that_the_gateway_sets(
    gateway: Gateway, backend: Backend, name: str
) -> None:
    request = ask(gateway, backend, [("Connection", name), (name, "forged")]).request
    assert len(request.all(name)) == 1
    assert request.header(name) != "forged"


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Cookie", "Content-Type", "Content-Length", "Host", "authorization", "Content_Type"],
)
def test_connection_may_not_hide_what_guards_have_judged(
    gateway: Gateway, backend: Backend, name: str
) -> None:
    seen = ask(gateway, backend, [("Connection", f"close, {name}")])
    assert (seen.status, seen.upstream) == (400, None)


def test_only_websocket_is_upgraded_to(gateway: Gateway, backend: Backend) -> None:
    for value in ("h2c", "TLS/1.2", "websocket, h2c", "xwebsocket"):
        request = ask(gateway, backend, [("Connection", "Upgrade"), ("Upgrade", value)]).request
        assert request.all("Upgrade") == []
        assert request.all("Connection") == []
    backend.forget()
    ask(gateway, backend, [("Connection", "Upgrade"), ("Upgrade", "WebSocket")])
    request = backend.requests[0]
    assert request.header("Upgrade") == "websocket"
    assert request.header("Connection") == "upgrade"


@pytest.mark.parametrize("connection", [None, "keep-alive", "close", "upgraded", "x-upgrade"])
def test_an_upgrade_that_connection_does_not_name_is_none(
    gateway: Gateway, backend: Backend, connection: str | None
) -> None:
    # RFC 9110 section 7.8: then it was meant for another hop, and the client awaits no other protocol.
    fields = [("Upgrade", "websocket")] + ([("Connection", connection)] if connection else [])
    request = ask(gateway, backend, fields).request
    assert request.all("Upgrade") == request.all("Connection") == []


@pytest.mark.parametrize("connection", [["keep-alive, Upgrade"], ["UPGRADE"], ["keep-alive", "Upgrade"]])
def test_an_upgrade_among_other_options_is_one(
    gateway: Gateway, backend: Backend, connection: list[str]
) -> None:
    fields = [("Upgrade", "websocket"), *(("Connection", value) for value in connection)]
    assert ask(gateway, backend, fields).request.header("Upgrade") == "websocket"


# --- Traces ------------------------------------------------------------------------------------------------

VALID: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LATER: Final = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-will-bring"


@BOTH_VERSIONS
@pytest.mark.parametrize("value", [VALID, VALID[:-2] + "00", LATER])
def test_a_valid_trace_goes_on(gateway: Gateway, backend: Backend, value: str, version: str) -> None:
    fields = [("traceparent", value), ("tracestate", "a=1"), ("tracestate", "b=2")]
    request = ask(gateway, backend, fields, version=version).request
    assert request.header("traceparent") == value
    assert request.all("tracestate") == ["a=1", "b=2"]


INVALID_TRACES: Final = {
    "nothing": "",
    "text": "forged",
    "upper case": VALID.upper(),
    "version ff": "ff" + VALID[2:],
    "a version 00 that goes on": VALID + "-more",
    "no trace": VALID.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
    "no parent": VALID.replace("b7ad6b7169203331", "0" * 16),
    "short": VALID[:-1],
    "long": VALID + "1",
    "not hexadecimal": VALID.replace("a", "g"),
    "two in one": f"{VALID}, {VALID}",
}


@pytest.mark.parametrize("value", INVALID_TRACES.values(), ids=INVALID_TRACES)
def test_an_invalid_trace_begins_anew(gateway: Gateway, backend: Backend, value: str) -> None:
    request = ask(gateway, backend, [("traceparent", value), ("tracestate", "a=1")]).request
    assert_begun(request)


@BOTH_VERSIONS
def test_a_trace_begins_where_there_is_none(gateway: Gateway, backend: Backend, version: str) -> None:
    assert_begun(ask(gateway, backend, version=version).request)


@BOTH_VERSIONS
def test_two_traces_are_none(gateway: Gateway, backend: Backend, version: str) -> None:
    fields = [("traceparent", VALID), ("tracestate", "a=1"), ("traceparent", VALID)]
    assert_begun(ask(gateway, backend, fields, version=version).request)


def assert_begun(request: Request) -> None:
    found = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01", request.header("traceparent") or "")
    assert found is not None
    assert found[1] == request.header("X-Request-Id")
    assert found[2] != "0" * 16
    assert request.all("tracestate") == []


# --- What is none of the gateway's business -----------------------------------------------------------------

ORDINARY: Final = [
    ("Accept", "application/json;q=0.9, */*;q=0.1"),
    ("Accept-Language", "de-DE"),
    ("User-Agent", 'a "quoted" agent \\ with a tab\tin it'),
    ("Range", "bytes=0-10"),
    ("If-None-Match", 'W/"a", "b"'),
    ("Origin", "https://app.example"),
    ("Referer", "https://app.example/?a=b"),
    ("Cookie", "a=1; b=2; c=eyJhbGciOiJIUzI1NiJ9"),
    ("X-Repeated", "1"),
    ("X-Repeated", "2"),
    ("X-Long", "x" * 8000),
    ("X-Utf8", "gr\u00fc\u00df Gott \u2713".encode().decode("latin-1")),
    ("Authorization", "Basic dXNlcjpwYXNzd29yZA=="),
]


@BOTH_VERSIONS
def test_ordinary_fields_pass_unchanged(gateway: Gateway, backend: Backend, version: str) -> None:
    request = ask(gateway, backend, ORDINARY, version=version).request
    for name, _ in ORDINARY:
        assert request.all(name) == [value for key, value in ORDINARY if key == name]


def test_cookies_in_several_fields_arrive_as_one(gateway: Gateway, backend: Backend) -> None:
    # RFC 9113 section 8.2.3: browsers split them so that they compress.
    request = ask(gateway, backend, [("cookie", "a=1"), ("cookie", "b=2")], version=HTTP2).request
    assert request.header("Cookie") == "a=1; b=2"


def test_expect_is_answered_here(gateway: Gateway, backend: Backend) -> None:
    head = f"POST / HTTP/1.1\r\nHost: localhost:{port_of(gateway)}\r\nExpect: 100-continue\r\n"
    raw = gateway.raw(f"{head}Content-Length: 2\r\n\r\nhi".encode())
    assert raw.startswith(b"HTTP/1.1 100 ")
    assert backend.requests[0].all("Expect") == []
    assert backend.requests[0].body == b"hi"


BODIES: Final = {
    "empty": b"",
    "text": b"a=1&b=2",
    "every byte": bytes(range(256)),
    "more than nginx holds in memory": bytes(range(251)) * 1000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_bodies_pass_unchanged(gateway: Gateway, backend: Backend, method: str, body: bytes) -> None:
    kind = "application/octet-stream; charset=x"
    with gateway.client(http2=True) as client:
        assert client.request(method, "/", content=body, headers={"Content-Type": kind}).status_code == 200
    with gateway.client() as client:
        # A generator is sent in chunks, without a length.
        chunks = iter([body[:10], body[10:]])
        client.request(method, "/", content=chunks, headers={"Content-Type": kind}).raise_for_status()
    for request in backend.requests:
        assert (request.method, request.body) == (method, body)
        assert request.header("Content-Type") == kind
        assert request.all("Transfer-Encoding") == []
    assert len(backend.requests) == 2


def test_a_body_without_a_length_over_http2(gateway: Gateway, backend: Backend) -> None:
    with Connection(port_of(gateway), gateway.context()) as connection:
        stream = connection.send(pseudo("/", "POST"), end=False)
        connection.send_body(stream, b"x" * 40000, end=False)
        connection.send_body(stream, b"")
        assert connection.await_answer(stream).status == 200
    (seen,) = backend.requests
    assert seen.body == b"x" * 40000
    assert seen.header("Content-Length") == "40000"
