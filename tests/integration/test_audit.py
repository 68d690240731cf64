"""The audit log at a running gateway: one event a decision, with the same facts as the access log's line."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from tests.support import issuer
from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway, wait_for
from tests.support.key_server import statuses
from tests.support.lua import Lua
from tests.support.ports import free_port
from tests.support.raw import exchange
from tests.support.refusals import CLIENTS_FAULT
from tests.support.wire import fields_of, port_of

# What every event has, and of which type.
FIELDS: Final[dict[str, type]] = {
    "time": str, "request_id": str, "decision": str, "guard": str, "code": str, "status": int, "mode": str,
    "reason": str, "route": str, "client": str, "address": str, "method": str, "host": str, "path": str,
    "query": str,
}  # fmt: skip
UPSTREAMS_FAULT: Final = "Connection refused|no live upstreams|upstream timed out"


class Hold:
    """Requests that the service holds back until all have come."""

    def __init__(self) -> None:
        self.came = threading.Semaphore(0)
        self.go = threading.Event()

    def wait(self) -> None:
        self.came.release()
        assert self.go.wait(30)


def policy(backend: Backend) -> dict[str, Any]:
    def route(path: str, **settings: Any) -> dict[str, Any]:
        return {"prefix": path, "methods": ["GET", "POST"], "upstream": "data", "auth": "none", **settings}

    routes = [
        route("/plain"),
        route("/small", body="10B"),
        route("/away", upstream="away"),
        route("/slow", upstream="slow"),
        route("/shared", cors={"origins": ["https://app.example.com"]}),
        route(
            "/several",
            addresses={"deny": ["127.0.0.1"], "mode": "observe"},
            rate={"limit": "1/h", "burst": 1, "mode": "observe"},
            auth=auth("observe"),
        ),
    ]
    for mode in ("enforce", "observe"):
        routes += [
            route(f"/addresses/{mode}", addresses={"deny": ["127.0.0.1"], "mode": mode}),
            route(f"/rate/{mode}", rate={"limit": "1/h", "burst": 1, "mode": mode}),
            route(f"/concurrency/{mode}", concurrency={"limit": 1, "mode": mode}),
            route(f"/token/{mode}", auth=auth(mode)),
        ]
    return {
        "workers": 2,
        "issuers": {
            "issuer": {"issuer": issuer.ISSUER, "jwks": f"{backend.url}/jwks", "algorithms": ["ES256"]}
        },
        "upstreams": {
            "data": {"servers": [backend.url]},
            "slow": {"servers": [backend.url], "read_timeout": "200ms"},
            "away": {"servers": [f"http://127.0.0.1:{free_port()}"]},
        },
        "defaults": {"rate": {"limit": "1000000/s", "burst": 1000000}},
        "routes": routes,
    }


def auth(mode: str) -> dict[str, Any]:
    return {"issuer": "issuer", "audience": issuer.AUDIENCE, "scopes": ["users:read"], "mode": mode}


def until_closed(connection: socket.socket) -> None:
    connection.recv(1)


class Service:
    """What stands behind the gateway.

    Attributes:
        backend: the running service.
        hold: what holds back requests for /concurrency and /slow, if anything does.
    """

    def __init__(self) -> None:
        self.hold: Hold | None = None
        self.backend = Backend(self._respond)

    def _respond(self, request: Request) -> Response:
        if request.target == "/jwks":
            return Response(headers=(("Content-Type", "application/json"),), body=issuer.jwks("ES256"))
        if request.target.startswith("/concurrency/") and request.target.endswith("/held"):
            assert self.hold is not None
            self.hold.wait()
        if request.target.startswith("/slow"):
            return Response(takeover=until_closed)
        return Response()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    running = Service()
    with running.backend:
        yield running


@pytest.fixture(scope="module")
def gateway(service: Service) -> Iterator[Gateway]:
    with Gateway(policy(service.backend)) as running:
        running.expect_error(CLIENTS_FAULT)
        running.expect_error(UPSTREAMS_FAULT)
        wait_for(lambda: statuses(running)["issuer"]["keys"])
        yield running


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client


# --- Decisions ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A request, and the event that it must bring.

    Attributes:
        line: method and path; the request line is HTTP/1.1's.
        event: what the event says; the rest is looked at for every case.
        fields: further lines of the head.
        body: of the request, with its length in the head.
        status: of the answer, where it is another than the event's.
        before: how many requests of the same kind come first, each of which passes.
    """

    line: str
    event: Mapping[str, Any]
    fields: tuple[str, ...] = ()
    body: str = ""
    status: int | None = None
    before: int = 0


def verdict(guard: str, code: str, status: int, **more: Any) -> dict[str, Any]:
    usual = {"decision": "refused", "mode": "enforce", "route": "", "client": ""}
    return {**usual, "guard": guard, "code": code, "status": status, **more}


def observed(guard: str, code: str, status: int, **more: Any) -> dict[str, Any]:
    return verdict(guard, code, status, decision="observed", mode="observe", **more)


def bearer(**changes: Any) -> tuple[str]:
    return (f"Authorization: Bearer {issuer.token(**changes)}",)


def of(path: str) -> dict[str, str]:
    return {"route": f"GET,POST {path}/*"}


def cases() -> dict[str, Case]:
    enforce, observe = "GET /token/enforce/a", "GET /token/observe/a"
    here, there = of("/token/enforce"), of("/token/observe")
    weak = bearer(scope="users:write", client_id="weak")
    return {
        "addresses, enforce": Case(
            "GET /addresses/enforce/a",
            verdict("addresses", "address_denied", 403, **of("/addresses/enforce")),
        ),
        "addresses, observe": Case(
            "GET /addresses/observe/a",
            observed("addresses", "address_denied", 403, **of("/addresses/observe")),
            status=200,
        ),
        "rate, enforce": Case(
            "GET /rate/enforce/a", verdict("rate", "rate_limited", 429, **of("/rate/enforce")), before=1
        ),
        "rate, observe": Case(
            "GET /rate/observe/a",
            observed("rate", "rate_limited", 429, **of("/rate/observe")),
            status=200,
            before=1,
        ),
        "no token, enforce": Case(enforce, verdict("token", "token_missing", 401, **here)),
        "no token, observe": Case(observe, observed("token", "token_missing", 401, **there), status=200),
        "a bad token, enforce": Case(
            enforce, verdict("token", "token_invalid", 401, **here), bearer(exp=1_000_000_000)
        ),
        "a bad token, observe": Case(
            observe, observed("token", "token_invalid", 401, **there), bearer(exp=1_000_000_000), status=200
        ),
        "a weak token, enforce": Case(
            enforce, verdict("token", "insufficient_scope", 403, **here, client="weak"), weak
        ),
        "a weak token, observe": Case(
            observe, observed("token", "insufficient_scope", 403, **there, client="weak"), weak, status=200
        ),
        "no route": Case("GET /nothing", verdict("edge", "no_route", 404)),
        "no such method": Case("DELETE /plain/a", verdict("edge", "method_not_allowed", 405)),
        "health with POST": Case("POST /healthz", verdict("edge", "method_not_allowed", 405)),
        "two readings": Case("GET /plain//a", verdict("edge", "not_canonical", 400)),
        "a bad name": Case("GET /plain/a", verdict("edge", "bad_request", 400), ("X-(A: b",)),
        "a foreign origin": Case(
            "OPTIONS /shared/a",
            verdict("cors", "origin_not_allowed", 403, **of("/shared")),
            ("Origin: https://evil.example.com", "Access-Control-Request-Method: GET"),
        ),
        "nginx: two hosts": Case("GET /plain/a", verdict("edge", "bad_request", 400), ("Host: other",)),
        "nginx: TRACE": Case("TRACE /plain/a", verdict("edge", "method_not_allowed", 405)),
        "nginx: a long body": Case(
            "POST /small/a", verdict("edge", "body_too_large", 413, **of("/small")), body="b" * 11
        ),
        "nginx: a coding": Case(
            "POST /plain/a", verdict("edge", "not_implemented", 501), ("Transfer-Encoding: gzip",)
        ),
        "nginx: a long header": Case(
            "GET /plain/a", verdict("edge", "header_too_large", 431), (f"X-A: {'a' * 17000}",)
        ),
        "an upstream that is away": Case(
            "GET /away/a",
            verdict("upstream", "upstream_unavailable", 502, decision="failed", **of("/away")),
        ),
        "an upstream that is slow": Case(
            "POST /slow/a", verdict("upstream", "upstream_timeout", 504, decision="failed", **of("/slow"))
        ),
    }  # fmt: skip


CASES: Final = cases()


@dataclass
class Outcome:
    """What came of a case.

    Attributes:
        status: of the answer.
        request_id: that the client was given.
        between: when it was sent, and when the answer was there.
        lines: of the access log.
        events: of the audit log.
    """

    status: int
    request_id: str
    between: tuple[datetime, datetime]
    lines: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


def send(gateway: Gateway, case: Case) -> Outcome:
    lines = [f"{case.line}?q=1 HTTP/1.1", "Host: localhost", *case.fields]
    if case.body:
        lines.append(f"Content-Length: {len(case.body)}")
    data = ("\r\n".join([*lines, "", ""]) + case.body).encode("latin-1")
    begun = datetime.now(UTC)
    answer = exchange(port_of(gateway), data, tls=gateway.context())
    named = dict(fields_of(answer))
    status = int(answer.split(b" ", 2)[1])
    return Outcome(status, named["x-request-id"], (begun, datetime.now(UTC)))


@pytest.fixture(scope="module")
def outcomes(gateway: Gateway) -> dict[str, Outcome]:
    """Every case; the logs are waited for once."""
    found = {}
    for name, case in CASES.items():
        for _ in range(case.before):
            assert send(gateway, case).status == 200
        found[name] = send(gateway, case)
    ids = {outcome.request_id for outcome in found.values()}
    wait_for(lambda: ids <= {line["request_id"] for line in gateway.access()})
    access, audit = gateway.access(), gateway.audit()
    for outcome in found.values():
        outcome.lines = [line for line in access if line["request_id"] == outcome.request_id]
        outcome.events = [event for event in audit if event["request_id"] == outcome.request_id]
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_decision_is_one_event(outcomes: dict[str, Outcome], name: str) -> None:
    case, outcome = CASES[name], outcomes[name]
    (event,), (line,) = outcome.events, outcome.lines
    assert {key: type(value) for key, value in event.items()} == FIELDS
    assert {key: event[key] for key in case.event} == case.event
    assert outcome.status == (case.status or event["status"]) == line["status"]
    method, _, path = case.line.partition(" ")
    assert event["address"] == line["address"] == "127.0.0.1"
    assert event["reason"]
    read = event["host"] != ""  # nginx refused it before it was read
    assert (event["method"], event["path"], event["query"]) == (method, path, "q=1")
    assert line["path"] == f"{path}?q=1"
    assert line["method"] == event["method"]
    assert line["host"] == event["host"] == ("localhost" if read else "")
    assert line["route"] == event["route"]
    assert line["client"] == event["client"]
    assert line["verdict"] == ("passed" if event["decision"] == "observed" else event["code"])


@pytest.mark.parametrize("name", CASES)
def test_an_event_has_the_time_of_its_decision(outcomes: dict[str, Outcome], name: str) -> None:
    (event,) = outcomes[name].events
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
    begun, ended = outcomes[name].between
    # nginx's clock is that of its last event, so it may be behind.
    slack = timedelta(seconds=1)
    assert begun - slack <= datetime.fromisoformat(event["time"]) <= ended + slack


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_concurrency(gateway: Gateway, service: Service, client: httpx.Client, mode: str) -> None:
    service.hold = hold = Hold()
    path = f"/concurrency/{mode}/held"
    held: list[httpx.Response] = []

    def get() -> None:
        with gateway.client() as other:
            held.append(other.get(path))

    with ExitStack() as stack:
        stack.callback(hold.go.set)
        first = threading.Thread(target=get)
        first.start()
        assert hold.came.acquire(timeout=30)
        second = client.get(f"/concurrency/{mode}/second")
        hold.go.set()
        first.join()
    assert held[0].status_code == 200
    status, decision = {"enforce": (429, "refused"), "observe": (200, "observed")}[mode]
    assert second.status_code == status
    wanted = second.headers["X-Request-Id"]
    event = gateway.wait_for_audit(lambda event: event["request_id"] == wanted)
    assert (event["decision"], event["guard"], event["mode"]) == (decision, "concurrency", mode)
    assert (event["code"], event["status"]) == ("concurrency_limited", 429)
    assert event["route"] == f"GET,POST /concurrency/{mode}/*"
    assert event["reason"] == "more than 1 at once by address"


def test_each_guard_that_objects_has_its_event(gateway: Gateway, client: httpx.Client) -> None:
    client.get("/several/first")
    response = client.get("/several/second")
    assert response.status_code == 200
    wanted = response.headers["X-Request-Id"]
    gateway.wait_for_access(lambda line: line["request_id"] == wanted)
    events = [event for event in gateway.audit() if event["request_id"] == wanted]
    assert [(event["guard"], event["code"]) for event in events] == [
        ("addresses", "address_denied"),
        ("rate", "rate_limited"),
        ("token", "token_missing"),
    ]
    assert {event["decision"] for event in events} == {"observed"}


def test_a_passing_request_has_a_line_and_no_event(gateway: Gateway, client: httpx.Client) -> None:
    fields = dict([bearer(client_id="reader")[0].split(": ")])
    response = client.get("/token/enforce/passing?a=b", headers=fields)
    assert response.status_code == 200
    wanted = response.headers["X-Request-Id"]
    line = gateway.wait_for_access(lambda line: line["request_id"] == wanted)
    assert (line["verdict"], line["status"], line["client"]) == ("passed", 200, "reader")
    assert (line["path"], line["route"]) == ("/token/enforce/passing?a=b", "GET,POST /token/enforce/*")
    assert int(line["decided"]) > 0
    assert line["worker"] in gateway.worker_pids()
    assert not any(event["request_id"] == wanted for event in gateway.audit())


# --- Secrets -----------------------------------------------------------------------------------------------

SECRET: Final = "Tr0ub4dor"


def spellings(name: str) -> list[str]:
    """Ways to write a name that mean the same to someone."""
    encoded = f"%{ord(name[0]):02X}{name[1:]}"
    return [
        name, name.upper(), encoded, encoded.lower(), "".join(f"%{ord(letter):02x}" for letter in name),
        f"{name[0]}_{name[1:]}", f"{name[:2]}-{name[2:]}", f"user[{name}]", f"user%5B{name}%5D", f"{name}[]",
        f"{name}[0]", f"user.{name}", f"{name}2",
    ]  # fmt: skip


def secret_names() -> list[str]:
    """Every name that redact.lua knows."""
    lua = Lua()
    redact = lua.require("bartizan.redact")
    endings = lua.python(redact.SECRET_ENDINGS)
    names = [*lua.python(redact.SECRETS), *(f"my_{ending}" for ending in endings)]
    assert len(names) > 50
    return names


def logs(gateway: Gateway) -> str:
    """Everything that was written down, the error log included."""
    files = [(gateway.state / "log" / name).read_text() for name in ("access.jsonl", "audit.jsonl")]
    return "\n".join([*files, gateway.stderr()])


def await_lines(gateway: Gateway, answers: list[bytes]) -> None:
    """Wait until the requests of these answers are in the logs; an HTTP/0.9 answer is a body only."""
    found = [re.search(rb'X-Request-Id: (\w+)|^{.*"request_id":"(\w+)"', answer) for answer in answers]
    ids = {(match[1] or match[2]).decode() for match in found if match}
    assert len(ids) == len(answers)
    wait_for(lambda: ids <= {line["request_id"] for line in gateway.access()})


def test_no_secret_of_a_query_is_written_down(gateway: Gateway, client: httpx.Client) -> None:
    names = secret_names()
    targets = []
    for path in ("/plain/secret", "/nothing/secret", "/addresses/observe/secret"):
        for name in names:
            query = "&".join(f"{spelling}={SECRET}" for spelling in spellings(name))
            targets.append(f"{path}/{name}?open=shown&{query}&last=shown")
    ids = {client.get(target).headers["X-Request-Id"] for target in targets}
    assert len(ids) == 3 * len(names)
    wait_for(lambda: ids <= {line["request_id"] for line in gateway.access()})
    lines = [line for line in gateway.access() if line["request_id"] in ids]
    assert len(lines) == len(ids)
    for line in lines:
        query = line["path"].partition("?")[2]
        assert query.startswith("open=shown&")
        assert query.endswith("&last=shown")
        assert query.count("=[redacted]&") == len(spellings("name")), query
    events = [event for event in gateway.audit() if event["request_id"] in ids]
    assert len(events) == 2 * len(names)
    for event in events:
        assert event["query"].count("=[redacted]&") == len(spellings("name")), event
    assert SECRET not in logs(gateway)


def test_no_secret_of_anything_else_is_written_down(gateway: Gateway) -> None:
    """Over all ways by which it can come, in requests that pass, are refused, or can't be read."""
    good, old = issuer.token(client_id="reader"), issuer.token(exp=1_000_000_000)
    sent = [
        ("GET /token/enforce/a", [f"Authorization: Bearer {good}"], ""),
        ("GET /token/enforce/a", [f"Authorization: Bearer {old}"], ""),
        ("GET /token/observe/a", [f"Authorization: Bearer {old}"], ""),
        ("GET /token/enforce/a", [f"Authorization: Bearer {good}", f"Authorization: Bearer {old}"], ""),
        ("GET /token/enforce/a", [f"Authorization: Basic {SECRET}"], ""),
        ("GET /token/enforce/a", [f"Authorization: Bearer {SECRET}"], ""),
        (f"GET /plain/{good}/x", [], ""),
        (f"GET /plain/x?next=/a/{good}", [], ""),
        (f"GET /nothing/{good}/x?a={good}", [], ""),
        (f"GET /plain/x;jsessionid={SECRET}/y", [], ""),
        (f"GET /nothing;token={SECRET}?a=b", [], ""),
        (f"GET /plain//x?token={SECRET}", [], ""),
        (f"GET https://user:{SECRET}@localhost/plain/x", [], ""),
        (f"GET /plain/x?token={SECRET}#a", [], ""),
        (f"GET /plain/%zz?token={SECRET}", [], ""),
        (f"G(T /plain/x?token={SECRET}", [], ""),
        ("GET /plain/x", [f"Cookie: session={SECRET}", f"X-Api-Key: {SECRET}"], ""),
        ("GET /plain/x", [f"Referer: https://localhost/?token={SECRET}"], ""),
        ("POST /plain/x", [], f"password={SECRET}&token={good}"),
        ("POST /small/x", [], f"password={SECRET}&token={good}"),
    ]
    answers = []
    for line, fields, body in sent:
        length = [f"Content-Length: {len(body)}"] if body else []
        head = "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", *fields, *length, "", ""])
        answers.append(exchange(port_of(gateway), (head + body).encode(), tls=gateway.context()))
    old_protocol = f"GET /old?token={SECRET}\r\n\r\n".encode()
    answers.append(exchange(port_of(gateway), old_protocol, tls=gateway.context()))
    await_lines(gateway, answers)
    written = logs(gateway)
    assert SECRET not in written
    for token in (good, old):
        assert not [part for part in token.split(".") if part in written]


# --- Whatever bytes arrive ---------------------------------------------------------------------------------


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_every_line_is_json_whatever_bytes_arrive(gateway: Gateway) -> None:
    places = [
        b"GET /plain/%b?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /plain?a=%b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"G%bT /plain HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /plain HTTP/1.1\r\nHost: local%bhost\r\n\r\n",
        b"GET /plain HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a%bb\r\n\r\n",
        b"GET /plain HTTP/1.1%b\r\nHost: localhost\r\n\r\n",
    ]
    texts = [bytes([number]) for number in range(256)]
    texts += [text.encode() for text in ("\u00e9", "\u0085", "\u2028", "\U0001f3f0", '"}\\')]
    texts += [b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a" * 5000 + b"\xe2\x82\xac"]
    sent = [place.replace(b"%b", text) for place in places for text in texts]

    # The listener without TLS: a redirect for what is whole, the same reading for all.
    port = port_of(gateway, tls=False)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda data: exchange(port, data), sent))
    await_lines(gateway, answers)
    for name, least in (("access.jsonl", len(sent)), ("audit.jsonl", len(sent) // 2)):
        lines = (gateway.state / "log" / name).read_bytes().split(b"\n")[:-1]
        assert len(lines) >= least
        for line in lines:
            json.loads(line.decode("utf-8", "strict"), parse_constant=no_constant)


# --- Rotation ----------------------------------------------------------------------------------------------


def test_rotation_under_load_loses_nothing(service: Service) -> None:
    """What logrotate does: the files are renamed, then SIGUSR1 goes to `bartizan run`."""
    passed: set[str] = set()
    refused: set[str] = set()
    stop = threading.Event()
    failures: list[BaseException] = []

    def load(gateway: Gateway) -> None:
        try:
            with gateway.client() as client:
                while not stop.is_set():
                    passed.add(client.get("/plain/a").headers["X-Request-Id"])
                    refused.add(client.get("/nothing").headers["X-Request-Id"])
        except BaseException as error:
            failures.append(error)
            raise

    with Gateway(policy(service.backend)) as gateway, ExitStack() as stack:
        stack.callback(stop.set)
        threads = [threading.Thread(target=load, args=(gateway,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        folder = gateway.state / "log"
        names = ("access.jsonl", "audit.jsonl")
        for number in (1, 2, 3):
            done = len(refused) + 50
            wait_for(lambda done=done: len(refused) >= done or failures)  # type: ignore[misc]
            for name in names:
                (folder / name).rename(folder / f"{name}.{number}")
            gateway.process.send_signal(signal.SIGUSR1)
            wait_for(
                lambda: all((folder / name).exists() and (folder / name).stat().st_size for name in names)
            )
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []

        def ids(name: str) -> list[str]:
            text = "".join(path.read_text() for path in folder.glob(f"{name}*"))
            return [json.loads(line)["request_id"] for line in text.splitlines() if line.endswith("}")]

        wait_for(lambda: len(ids("access.jsonl")) >= len(passed | refused))
        assert sorted(ids("access.jsonl")) == sorted(passed | refused)
        assert sorted(ids("audit.jsonl")) == sorted(refused)
        # Each file was written to, and the old ones are let go of.
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        assert len(sizes) == 8
        assert all(sizes.values())
        with gateway.client() as client:
            last = client.get("/nothing").headers["X-Request-Id"]
        gateway.wait_for_access(lambda line: line["request_id"] == last)
        assert any(event["request_id"] == last for event in gateway.audit())
        grown = {path.name for path in folder.iterdir() if path.stat().st_size > sizes[path.name]}
        assert grown == set(names)
