"""What a client may not forge never reaches the upstream; what the gateway knows does; the rest passes."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Final

import pytest

from tests.support.backend import Backend, Response
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection
from tests.support.key_server import key_set, statuses
from tests.support.raw import status_of
from tests.support.tokens import Issuer, SigningKey
from tests.support.wire import BOTH_VERSIONS, HTTP2, ask, port_of, send


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(keys={"EdDSA": SigningKey.make("EdDSA")})


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
