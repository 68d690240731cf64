"""What a client may not forge never reaches the upstream; what the gateway knows does; the rest passes."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Final

import pytest

from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection
from tests.support.http2 import request as pseudo
from tests.support.key_server import key_set, statuses
from tests.support.raw import status_of
from tests.support.tokens import Issuer, SigningKey
from tests.support.wire import BOTH_VERSIONS, HTTP2, ask, port_of, send


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(keys={"EdDSA": SigningKey.make("EdDSA")})


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: Backend, issuer: Issuer) -> Iterator[Gateway]:
    with Backend(lambda _request: key_set(issuer)) as jwks:
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        policy = {
            "listen": {"http": {"redirect": False}},
            "issuers": {"own": {"issuer": issuer.issuer, "jwks": jwks.url, "algorithms": ["EdDSA"]}},
            "upstreams": {"data": {"servers": [backend.url]}},
            "defaults": {"rate": {"limit": "100000/s", "burst": 100000}},
            "routes": [
                {"prefix": "/", "methods": methods, "upstream": "data", "auth": "none"},
                {
                    "prefix": "/api",
                    "methods": ["GET"],
                    "upstream": "data",
                    "auth": {"issuer": "own", "audience": issuer.audience, "scopes": ["users:read"]},
                },
            ],
        }
        with Gateway(policy) as running:
            wait_for(lambda: statuses(running)["own"]["keys"])
            yield running


@pytest.fixture(autouse=True)
def _usual_answers(backend: Backend) -> None:
    backend.forget()
    backend.respond = lambda _request: Response()


# --- What the client may not forge -------------------------------------------------------------------------

# What the gateway sends under a name instead; None where nothing may arrive at all.
PROTECTED: Final[dict[str, str | None]] = {
    "X-Forwarded-For": r"127\.0\.0\.1",
    "X-Forwarded-Proto": r"https",
    "X-Forwarded-Host": r"localhost:\d+",
    "X-Forwarded-Port": r"\d+",
    "X-Forwarded-Server": None,
    "X-Forwarded-Prefix": None,
    "X-Forwarded-Scheme": None,
    "X-Forwarded-Ssl": None,
    "X-Forwarded-Client-Cert": None,
    "X-Forwarded": None,
    "Forwarded": r'for=127\.0\.0\.1;host="localhost:\d+";proto=https',
    "X-Real-IP": r"127\.0\.0\.1",
    "X-Request-Id": r"[0-9a-f]{32}",
    "X-Client-Id": None,
    "X-Scopes": None,
    "Client-Cert": None,
    "Client-Cert-Chain": None,
    "X-Original-URL": None,
    "X-Rewrite-URL": None,
    "X-HTTP-Method-Override": None,
    "X-HTTP-Method": None,
    "X-Method-Override": None,
    "Proxy": None,
    "Proxy-Authorization": None,
    "Proxy-Authenticate": None,
    "Proxy-Connection": None,
    "Keep-Alive": None,
    "TE": None,
    "Trailer": None,
    "HTTP2-Settings": None,
}

# RFC 9113 section 8.2.2: malformed over HTTP/2, so refused; other spellings come so far as to be dropped.
CONNECTIONS_OWN: Final = {"Proxy-Connection", "Keep-Alive"}


def fold(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def spellings(name: str) -> list[str]:
    """Every way to write a name that someone folds into it: separators in all mixtures, and case."""
    parts = name.split("-")
    joined = {
        parts[0] + "".join(sep + part for sep, part in zip(seps, parts[1:], strict=True))
        for seps in product("-_.", repeat=len(parts) - 1)
    }
    return sorted(joined | {name.upper(), name.lower(), name.swapcase()})


@BOTH_VERSIONS
@pytest.mark.parametrize("name", PROTECTED)
def test_a_protected_field_is_the_gateways_or_nobodys(
    gateway: Gateway, backend: Backend, name: str, version: str
) -> None:
    forged = [(spelling, f"forged-{n}") for n, spelling in enumerate(spellings(name))]
    assert len({spelling.lower() for spelling, _ in forged}) == 3 ** name.count("-")
    if version == HTTP2 and name in CONNECTIONS_OWN:
        forged = [(spelling, value) for spelling, value in forged if spelling.lower() != name.lower()]
    request = ask(gateway, backend, forged, version=version).request
    values = [value for key, value in request.headers if fold(key) == fold(name)]
    wanted = PROTECTED[name]
    if wanted is None:
        assert values == []
    else:
        assert len(values) == 1
        assert re.fullmatch(wanted, values[0])
        assert request.all(name) == values
    assert not any("forged" in value for _, value in request.headers)


@BOTH_VERSIONS
@pytest.mark.parametrize("name", PROTECTED)
def test_a_repeated_protected_field_is_taken_away_whole(
    gateway: Gateway, backend: Backend, name: str, version: str
) -> None:
    seen = ask(gateway, backend, [(name, f"forged-{n}") for n in range(12)], version=version)
    if version == HTTP2 and name in CONNECTIONS_OWN:
        assert (seen.status, seen.upstream) == (400, None)
        return
    request = seen.request
    assert not any("forged" in value for _, value in request.headers)
    assert len(request.all(name)) == (PROTECTED[name] is not None)


@BOTH_VERSIONS
def test_names_that_only_look_protected_pass(gateway: Gateway, backend: Backend, version: str) -> None:
    fields = [
        (name, f"value-{n}")
        for n, name in enumerate(
            (
                "X-Forward-For", "X-Real-IP-Country", "X-Request-Id2", "X-Client", "X-Scope", "Client-Name",
                "X-Original", "XForwardedFor", "Proxy2", "A_B", "a.b", "x!#$%&'*+^`|~y",
            )
        )
    ]  # fmt: skip
    request = ask(gateway, backend, fields, version=version).request
    for name, value in fields:
        assert request.all(name) == [value]


# A second spelling of a field that frames a message is an attack on whoever folds names.
@pytest.mark.parametrize(
    "name", ["Content_Length", "content.length", "Transfer_Encoding", "Content_Type", "X_Forwarded.For"]
)
@BOTH_VERSIONS
def test_other_spellings_of_framing_fields_never_arrive(
    gateway: Gateway, backend: Backend, name: str, version: str
) -> None:
    request = ask(gateway, backend, [(name, "5")], version=version).request
    assert request.all(name) == []
    assert request.body == b""


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


# --- What the gateway says ---------------------------------------------------------------------------------


@BOTH_VERSIONS
def test_the_request_has_one_id_everywhere(gateway: Gateway, backend: Backend, version: str) -> None:
    seen = ask(gateway, backend, version=version)
    (answered,) = seen.all("X-Request-Id")
    assert re.fullmatch(r"[0-9a-f]{32}", answered)
    assert seen.request.header("X-Request-Id") == answered
    line = gateway.wait_for_access(lambda event: event["request_id"] == answered)
    assert line["status"] == 200
    assert ask(gateway, backend, version=version).all("X-Request-Id") != [answered]


@BOTH_VERSIONS
def test_a_refusal_has_the_id_of_its_audit_event(gateway: Gateway, backend: Backend, version: str) -> None:
    seen = ask(gateway, backend, [("X-Request-Id", "forged")], target="/api/users", version=version)
    assert (seen.status, seen.upstream) == (401, None)
    (answered,) = seen.all("X-Request-Id")
    event = gateway.wait_for_audit(lambda event: event["request_id"] == answered)
    assert event["code"] == "token_missing"


def test_the_upstreams_own_request_id_does_not_replace_it(gateway: Gateway, backend: Backend) -> None:
    backend.respond = lambda _request: Response(headers=(("X-Request-Id", "upstream"),))
    seen = ask(gateway, backend)
    assert seen.all("X-Request-Id") == [seen.request.header("X-Request-Id")]


def test_where_it_came_from_over_ipv6(gateway: Gateway, backend: Backend) -> None:
    request = ask(gateway, backend, host="::1").request
    assert request.header("X-Forwarded-For") == "::1"
    assert request.header("X-Real-IP") == "::1"
    forwarded = request.header("Forwarded")
    assert forwarded == f'for="[::1]";host="localhost:{port_of(gateway)}";proto=https'


def test_where_it_came_in(gateway: Gateway, backend: Backend) -> None:
    for tls, scheme in ((True, "https"), (False, "http")):
        request = ask(gateway, backend, tls=tls).request
        port = port_of(gateway, tls=tls)
        assert request.header("Host") == f"localhost:{port}"
        assert request.header("X-Forwarded-Host") == f"localhost:{port}"
        assert request.header("X-Forwarded-Port") == str(port)
        assert request.header("X-Forwarded-Proto") == scheme
        assert request.header("Forwarded") == f'for=127.0.0.1;host="localhost:{port}";proto={scheme}'


def test_http10_without_a_host_is_for_the_public_origin(gateway: Gateway, backend: Backend) -> None:
    assert status_of(gateway.raw(b"GET / HTTP/1.0\r\n\r\n")) == 200
    assert backend.requests[0].header("Host") == f"localhost:{port_of(gateway)}"


@BOTH_VERSIONS
def test_client_and_scopes_are_those_of_the_token(
    gateway: Gateway, backend: Backend, issuer: Issuer, version: str
) -> None:
    token = issuer.token("EdDSA", client_id="orders app", scope="users:read orders:write")
    forged = [("X-Client-Id", "admin"), ("X-Scopes", "admin"), ("x_client_id", "admin")]
    fields = [("Authorization", f"Bearer {token}"), *forged]
    request = ask(gateway, backend, fields, target="/api/users", version=version).request
    assert request.header("X-Client-Id") == "orders app"
    assert request.header("X-Scopes") == "users:read orders:write"
    assert request.header("Authorization") == f"Bearer {token}"
    assert not any(value == "admin" for _, value in request.headers)


def test_a_token_with_no_scope_left_sends_no_scopes(
    gateway: Gateway, backend: Backend, issuer: Issuer
) -> None:
    # On a route without authentication the token means nothing to the gateway, whatever it says.
    fields = [("Authorization", f"Bearer {issuer.token('EdDSA')}"), ("X-Scopes", "admin")]
    request = ask(gateway, backend, fields).request
    assert request.all("X-Client-Id") == request.all("X-Scopes") == []


def test_nothing_of_one_request_reaches_the_next_on_a_connection(
    gateway: Gateway, backend: Backend, issuer: Issuer
) -> None:
    token = issuer.token("EdDSA", client_id="first")
    host = f"Host: localhost:{port_of(gateway)}\r\n"
    first = f"GET /api/1 HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\nX-A: 1\r\nConnection: X-A\r\n\r\n"
    second = f"GET /2 HTTP/1.1\r\n{host}X-A: 2\r\n\r\n"
    third = f"GET /api/3 HTTP/1.1\r\n{host}X-A: 3\r\n\r\n"
    raw = gateway.raw((first + second + third).encode(), responses=3)
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", raw)] == [200, 200, 401]
    one, two = backend.requests
    assert (one.header("X-Client-Id"), one.all("X-A")) == ("first", [])
    assert (two.all("X-Client-Id"), two.all("X-Scopes"), two.all("X-A")) == ([], [], ["2"])
    assert one.header("X-Request-Id") != two.header("X-Request-Id")


def test_streams_of_a_connection_are_kept_apart(gateway: Gateway, backend: Backend, issuer: Issuer) -> None:
    tokens = {name: issuer.token("EdDSA", client_id=name) for name in ("ann", "bob", "cleo")}
    port = port_of(gateway)
    with Connection(port, gateway.context()) as connection:
        streams: dict[str, int] = {}
        for turn in range(5):
            for name, token in tokens.items():
                fields = [("authorization", f"Bearer {token}"), ("x-who", name)]
                streams[f"{name}-{turn}"] = send(connection, f"/api/{name}-{turn}", fields, port=port)
            streams[f"-{turn}"] = send(connection, "/api/nobody", [("x-who", "nobody")], port=port)
        answers = {who: connection.await_answer(stream) for who, stream in streams.items()}
    for who, answer in answers.items():
        assert answer.status == (401 if who.startswith("-") else 200)
    assert len(backend.requests) == 15
    ids = {request.header("X-Request-Id") for request in backend.requests}
    assert len(ids) == 15
    for request in backend.requests:
        assert request.header("X-Client-Id") == request.header("X-Who")
        answer = answers[request.target.removeprefix("/api/")]
        assert answer.fields["x-request-id"] == request.header("X-Request-Id")


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
