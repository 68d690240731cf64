"""Cross-origin requests at a running gateway: preflights end at the edge, answers carry what pages need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import httpx
import pytest

from tests.support import issuer
from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway, wait_for
from tests.support.key_server import statuses
from tests.support.ports import free_port
from tests.support.refusals import CLIENTS_FAULT

APP: Final = "https://app.example.com"
DEV: Final = "http://localhost:3000"
EVIL: Final = "https://evil.example.com"
SHARED: Final = {
    "origins": [APP, DEV],
    "headers": ["Authorization", "Content-Type", "X-CSRF"],
    "expose": ["X-Total", "RateLimit"],
    "credentials": True,
    "max_age": "5m",
}

# What the service says by itself; none of it may reach a client of a route that has cross-origin settings.
SERVICES_OWN: Final = (
    ("Access-Control-Allow-Origin", EVIL),
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Allow-Methods", "DELETE"),
    ("Access-Control-Allow-Headers", "X-Evil"),
    ("Access-Control-Expose-Headers", "X-Secret"),
    ("Access-Control-Max-Age", "86400"),
)


def policy(backend: Backend) -> dict[str, Any]:
    def route(path: str, methods: list[str], **settings: Any) -> dict[str, Any]:
        return {"prefix": path, "methods": methods, "upstream": "data", "auth": "none", **settings}

    auth = {"issuer": "issuer", "audience": issuer.AUDIENCE, "scopes": []}
    return {
        "issuers": {
            "issuer": {"issuer": issuer.ISSUER, "jwks": f"{backend.url}/jwks", "algorithms": ["ES256"]}
        },
        "upstreams": {
            "data": {"servers": [backend.url]},
            "away": {"servers": [f"http://127.0.0.1:{free_port()}"]},
        },
        "defaults": {"body": "1KiB", "rate": {"limit": "100000/s", "burst": 100000}},
        "routes": [
            route("/shared", ["GET", "POST"], cors=SHARED),
            route("/shared/read", ["GET", "POST", "PUT"], cors={**SHARED, "methods": ["GET", "PUT"]}),
            route("/any", ["GET"], cors={"origins": ["*"]}),
            route("/plain", ["GET"]),
            route("/secret", ["GET"], cors=SHARED, auth=auth),
            route("/limited", ["GET"], cors=SHARED, rate={"limit": "1/h", "burst": 1}),
            route("/options", ["GET", "OPTIONS"], cors=SHARED),
            route("/plain-options", ["GET", "OPTIONS"]),
            route("/away", ["GET"], cors=SHARED, upstream="away"),
            # One path, another setting for each method.
            route("/split", ["GET"], cors={"origins": ["*"]}),
            route("/split", ["POST"], cors={"origins": [APP]}),
            route("/split", ["DELETE"]),
        ],
    }


def respond(request: Request) -> Response:
    if request.target == "/jwks":
        return Response(headers=(("Content-Type", "application/json"),), body=issuer.jwks("ES256"))
    return Response(headers=(("X-Total", "7"), ("Vary", "Accept-Encoding"), *SERVICES_OWN))


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend(respond) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend)) as running:
        running.expect_error(CLIENTS_FAULT)
        running.expect_error("Connection refused|no live upstreams")
        wait_for(lambda: statuses(running)["issuer"]["keys"])
        yield running


@pytest.fixture(scope="module", params=[False, True], ids=["HTTP/1.1", "HTTP/2"])
def client(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with gateway.client(http1=not request.param, http2=request.param) as client:
        yield client


_number: Final = count()


def unique(path: str) -> str:
    """A path that no other request has, by which it is found at the service and in the logs."""
    return f"{path}/{next(_number)}"


def cross_origin(response: httpx.Response) -> dict[str, list[str]]:
    """What an answer says to browsers, every value of each field."""
    names = {name for name in response.headers if name.startswith("access-control-")} | {"vary"}
    return {name: response.headers.get_list(name) for name in names if name in response.headers}


def preflight(client: httpx.Client, path: str, *fields: tuple[str, str]) -> httpx.Response:
    return client.request("OPTIONS", path, headers=list(fields))


def asks(origin: str, method: str, *headers: str) -> list[tuple[str, str]]:
    """The fields of a preflight; each of `headers` is a field of its own."""
    listed = [("Access-Control-Request-Headers", value) for value in headers]
    return [("Origin", origin), ("Access-Control-Request-Method", method), *listed]


def granted(origin: str, methods: str) -> dict[str, list[str]]:
    """What a preflight of a route with the settings SHARED is answered."""
    return {
        "access-control-allow-origin": [origin],
        "access-control-allow-credentials": ["true"],
        "access-control-allow-methods": [methods],
        "access-control-allow-headers": ["authorization, content-type, x-csrf"],
        "access-control-expose-headers": ["x-total, ratelimit"],
        "access-control-max-age": ["300"],
        "vary": ["Origin"],
    }


ANY: Final = {
    "access-control-allow-origin": ["*"],
    "access-control-allow-methods": ["GET"],
    "access-control-max-age": ["600"],
}

ALLOWED: Final[dict[str, tuple[str, list[tuple[str, str]], dict[str, list[str]]]]] = {
    "the first origin": ("/shared", asks(APP, "GET"), granted(APP, "GET, POST")),
    "the second origin": ("/shared", asks(DEV, "POST"), granted(DEV, "GET, POST")),
    "a header": ("/shared", asks(APP, "POST", "x-csrf"), granted(APP, "GET, POST")),
    "every header": (
        "/shared",
        asks(APP, "POST", "authorization,content-type,x-csrf"),
        granted(APP, "GET, POST"),
    ),
    "headers with blanks and capitals": (
        "/shared",
        asks(APP, "POST", "X-CSRF ,\tContent-Type,"),
        granted(APP, "GET, POST"),
    ),
    "headers in two fields": (
        "/shared",
        asks(APP, "POST", "x-csrf", "content-type"),
        granted(APP, "GET, POST"),
    ),
    "no header in the list": ("/shared", asks(APP, "POST", ""), granted(APP, "GET, POST")),
    "methods of its own": ("/shared/read", asks(APP, "PUT"), granted(APP, "GET, PUT")),
    "any origin": ("/any", asks(EVIL, "GET"), ANY),
    "any origin, an opaque one": ("/any", asks("null", "GET"), ANY),
    "a route that needs a token": ("/secret", asks(APP, "GET", "authorization"), granted(APP, "GET")),
    "a route that serves OPTIONS, too": ("/options", asks(APP, "GET"), granted(APP, "GET, OPTIONS")),
    "a method of a path with several": ("/split", asks(EVIL, "GET"), ANY),
}


FOREIGN: Final = "origin_not_allowed"
METHOD: Final = "method_not_allowed_cross_origin"
HEADER: Final = "header_not_allowed_cross_origin"

# Each has its twin above.
REFUSED: Final[dict[str, tuple[str, list[tuple[str, str]], str]]] = {
    "a foreign origin": ("/shared", asks(EVIL, "GET"), FOREIGN),
    "an opaque origin": ("/shared", asks("null", "GET"), FOREIGN),
    "another scheme": ("/shared", asks("http://app.example.com", "GET"), FOREIGN),
    "another port": ("/shared", asks(f"{APP}:8443", "GET"), FOREIGN),
    "a domain below": ("/shared", asks("https://evil.app.example.com", "GET"), FOREIGN),
    "a domain that begins so": ("/shared", asks(f"{APP}.evil.com", "GET"), FOREIGN),
    "a domain that ends so": ("/shared", asks("https://evilapp.example.com", "GET"), FOREIGN),
    "an origin with a path": ("/shared", asks(f"{APP}/", "GET"), FOREIGN),
    "two origins in a field": ("/shared", asks(f"{APP} {DEV}", "GET"), FOREIGN),
    "an empty origin": ("/shared", asks("", "GET"), FOREIGN),
    "a star": ("/shared", asks("*", "GET"), FOREIGN),
    "a foreign origin, a path with several": ("/split", asks(EVIL, "POST"), FOREIGN),
    "a method that the route serves": ("/shared/read", asks(APP, "POST"), METHOD),
    "another header": ("/shared", asks(APP, "POST", "x-other"), HEADER),
    "a header among others": ("/shared", asks(APP, "POST", "x-csrf,x-other,content-type"), HEADER),
    "a header in the second field": ("/shared", asks(APP, "POST", "x-csrf", "x-other"), HEADER),
    "a star among headers": ("/shared", asks(APP, "POST", "*"), HEADER),
    "a header where none is allowed": ("/any", asks(EVIL, "GET", "x-csrf"), HEADER),
}


@dataclass(frozen=True)
class Asked:
    """A preflight, and what came of it.

    Attributes:
        response: what the client got.
        forwarded: whether the service saw anything of it.
        line: of the access log.
        events: of the audit log.
    """

    response: httpx.Response
    forwarded: bool
    line: dict[str, Any]
    events: list[dict[str, Any]]


@pytest.fixture(scope="module")
def asked(gateway: Gateway, backend: Backend, client: httpx.Client) -> dict[str, Asked]:
    """Every preflight above; the logs are waited for once."""
    assert not ALLOWED.keys() & REFUSED.keys()
    paths = {name: unique(case[0]) for name, case in (ALLOWED | REFUSED).items()}
    answers = {name: preflight(client, paths[name], *case[1]) for name, case in (ALLOWED | REFUSED).items()}
    wait_for(lambda: set(paths.values()) <= {line["path"] for line in gateway.access()})
    lines = {line["path"]: line for line in gateway.access()}
    seen, audit = {request.target for request in backend.requests}, gateway.audit()
    return {
        name: Asked(
            answers[name], path in seen, lines[path], [event for event in audit if event["path"] == path]
        )
        for name, path in paths.items()
    }


@pytest.mark.parametrize("name", ALLOWED)
def test_an_allowed_preflight_is_answered_at_the_edge_without_a_token(
    asked: dict[str, Asked], name: str
) -> None:
    case = asked[name]
    assert case.response.status_code == 204
    assert case.response.content == b""
    assert "content-length" not in case.response.headers  # RFC 9110 section 8.6
    assert "content-type" not in case.response.headers
    assert cross_origin(case.response) == ALLOWED[name][2]
    assert not case.forwarded
    assert (case.line["status"], case.line["verdict"], case.line["upstream"]) == (204, "passed", "")
    assert case.events == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_preflight_is_refused(asked: dict[str, Asked], name: str) -> None:
    case, code = asked[name], REFUSED[name][2]
    assert case.response.status_code == 403
    assert case.response.json()["code"] == code
    assert case.response.headers["Content-Type"] == "application/problem+json"
    said = cross_origin(case.response)
    # The browser goes by the status already; what else it sees allows nothing.
    assert not {"access-control-allow-methods", "access-control-allow-headers"} & set(said)
    assert ("access-control-allow-origin" in said) == (code != FOREIGN)
    assert not case.forwarded
    (event,) = case.events
    assert (event["decision"], event["guard"], event["mode"]) == ("refused", "cors", "enforce")
    assert (event["code"], event["status"], event["method"]) == (code, 403, "OPTIONS")
    assert event["route"]
    assert (case.line["status"], case.line["verdict"]) == (403, code)


@pytest.mark.parametrize(
    ("path", "fields", "allow"),
    [
        ("/plain", asks(APP, "GET"), "GET, HEAD"),
        ("/plain", [], "GET, HEAD"),
        # Without both fields it is no preflight, but a request with the method OPTIONS.
        ("/shared", [("Origin", APP)], "GET, HEAD, POST"),
        ("/shared", [("Access-Control-Request-Method", "GET")], "GET, HEAD, POST"),
        ("/shared", [*asks(APP, "GET"), ("Origin", EVIL)], "GET, HEAD, POST"),
        ("/shared", [*asks(APP, "GET"), ("Access-Control-Request-Method", "POST")], "GET, HEAD, POST"),
        # What no route of the path serves.
        ("/shared", asks(APP, "DELETE"), "GET, HEAD, POST"),
        ("/shared", asks(APP, "get"), "GET, HEAD, POST"),
        # A route of the path that has no cross-origin settings.
        ("/split", asks(APP, "DELETE"), "DELETE, GET, HEAD, POST"),
    ],
)
def test_options_where_there_is_nothing_to_ask(
    backend: Backend, client: httpx.Client, path: str, fields: list[tuple[str, str]], allow: str
) -> None:
    path = unique(path)
    response = preflight(client, path, *fields)
    assert response.status_code == 405
    assert sorted(response.headers["Allow"].split(", ")) == sorted(allow.split(", "))
    assert response.json()["code"] == "method_not_allowed"
    assert cross_origin(response) == {}
    assert path not in {seen.target for seen in backend.requests}


def test_a_preflight_where_nothing_is_served_is_404(client: httpx.Client) -> None:
    assert preflight(client, "/nothing", *asks(APP, "GET")).status_code == 404


@pytest.mark.parametrize("path", ["/options", "/plain-options"])
def test_options_that_is_no_preflight_is_the_services(
    backend: Backend, client: httpx.Client, path: str
) -> None:
    path = unique(path)
    assert preflight(client, path, ("Origin", APP)).status_code == 200
    assert path in {seen.target for seen in backend.requests}


def test_a_preflight_of_a_route_without_settings_is_the_services(
    backend: Backend, client: httpx.Client
) -> None:
    """It serves OPTIONS, so it may have cross-origin settings of its own, which pass as they are."""
    path = unique("/plain-options")
    response = preflight(client, path, *asks(EVIL, "GET"))
    assert response.status_code == 200
    assert {name: value for name, value in cross_origin(response).items() if name != "vary"} == {
        name.lower(): [value] for name, value in SERVICES_OWN
    }
    assert path in {seen.target for seen in backend.requests}


# --- The requests themselves -------------------------------------------------------------------------------

READABLE: Final = {
    "access-control-allow-credentials": ["true"],
    "access-control-expose-headers": ["x-total, ratelimit"],
}

# path, origin, status, what the answer says; `vary` of the service comes before ours.
SIMPLE: Final[dict[str, tuple[str, str | None, int, Mapping[str, list[str]]]]] = {
    "an allowed origin": (
        "/shared", APP, 200,
        {"access-control-allow-origin": [APP], **READABLE, "vary": ["Accept-Encoding", "Origin"]},
    ),
    "another allowed origin": (
        "/shared", DEV, 200,
        {"access-control-allow-origin": [DEV], **READABLE, "vary": ["Accept-Encoding", "Origin"]},
    ),
    "a foreign origin": ("/shared", EVIL, 200, {"vary": ["Accept-Encoding", "Origin"]}),
    "an opaque origin": ("/shared", "null", 200, {"vary": ["Accept-Encoding", "Origin"]}),
    "no origin": ("/shared", None, 200, {"vary": ["Accept-Encoding", "Origin"]}),
    "any origin": ("/any", EVIL, 200, {"access-control-allow-origin": ["*"], "vary": ["Accept-Encoding"]}),
    "any origin, an opaque one": (
        "/any", "null", 200, {"access-control-allow-origin": ["*"], "vary": ["Accept-Encoding"]},
    ),
    "a refusal for want of a token": (
        "/secret", APP, 401, {"access-control-allow-origin": [APP], **READABLE, "vary": ["Origin"]},
    ),
    "the same to a foreign origin": ("/secret", EVIL, 401, {"vary": ["Origin"]}),
    "a failure of the service": (
        "/away", APP, 502, {"access-control-allow-origin": [APP], **READABLE, "vary": ["Origin"]},
    ),
    "no route": ("/nothing", APP, 404, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", SIMPLE)
def test_an_answer_says_who_may_read_it(client: httpx.Client, name: str) -> None:
    path, origin, status, expected = SIMPLE[name]
    response = client.get(unique(path), headers={"Origin": origin} if origin else {})
    assert response.status_code == status
    assert cross_origin(response) == expected


def test_a_route_without_settings_leaves_the_services_own(client: httpx.Client) -> None:
    response = client.get("/plain", headers={"Origin": APP})
    for name, value in SERVICES_OWN:
        assert response.headers.get_list(name) == [value]


def test_a_page_can_read_why_it_is_limited(client: httpx.Client) -> None:
    """Preflights are not counted."""
    for _ in range(3):
        assert preflight(client, "/limited", *asks(APP, "GET")).status_code == 204
    answers = [client.get("/limited", headers={"Origin": APP}) for _ in range(2)]
    assert answers[-1].status_code == 429
    for response in answers:
        assert response.headers["Access-Control-Allow-Origin"] == APP
        assert response.headers["RateLimit"]
        assert "ratelimit" in response.headers["Access-Control-Expose-Headers"]


def test_a_refusal_of_nginx_can_be_read_too(client: httpx.Client) -> None:
    response = client.post("/shared", content=b"b" * 2000, headers={"Origin": APP})
    assert response.status_code == 413
    assert cross_origin(response) == {
        "access-control-allow-origin": [APP],
        **READABLE,
        "vary": ["Origin"],
    }


def test_with_a_token_the_page_reads_the_answer(backend: Backend, client: httpx.Client) -> None:
    path = unique("/secret")
    fields = {"Origin": APP, "Authorization": f"Bearer {issuer.token()}"}
    response = client.get(path, headers=fields)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == APP
    (seen,) = [seen for seen in backend.requests if seen.target == path]
    assert seen.header("Origin") == APP


def test_the_security_headers_stay(client: httpx.Client) -> None:
    """A location of nginx that adds headers inherits none."""
    for response in (
        client.get("/shared", headers={"Origin": APP}),
        preflight(client, "/shared", *asks(APP, "GET")),
    ):
        for name in ("Strict-Transport-Security", "X-Content-Type-Options", "X-Request-Id"):
            assert len(response.headers.get_list(name)) == 1
