"""One reading of a request: what can be read in two ways is refused, and what is judged is forwarded."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.backend import Backend
from tests.support.gateway import Gateway
from tests.support.http2 import Connection, request
from tests.support.refusals import (
    Outcome,
    Wire,
    assert_passed,
    assert_refused,
    assert_says_no_more_than_it_should,
    load,
    policy,
    text,
)

REFUSED = load("wire_canonical.yaml")
FORWARDED = load("wire_forwarded.yaml")
assert len(REFUSED) >= 45
assert len(FORWARDED) >= 14

MOST_FIELDS = 100
MOST_ARGUMENTS = 1000


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend)) as running:
        yield running


@pytest.fixture(scope="module")
def outcomes(wire: Wire) -> dict[str, Outcome]:
    """What came of every case, and of every case put right."""
    sent = {}
    for name, case in REFUSED.items():
        sent[name] = wire.http1(case["send"].encode("latin-1") if "send" in case else text(case["head"]))
        sent[f"passes: {name}"] = wire.http1(text(case["passes"]["head"]))
    for name, case in FORWARDED.items():
        sent[f"HTTP/1.1: {name}"] = wire.http1(text([f"GET {case['send']} HTTP/1.1", "Host: localhost"]))
        sent[f"HTTP/2: {name}"] = wire.http2({"set": {":path": case["send"]}})
    return wire.with_events(sent)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(outcomes: dict[str, Outcome], name: str) -> None:
    case, outcome = REFUSED[name], outcomes[name]
    if "old" in case:  # HTTP/0.9 has neither a status nor fields
        assert (outcome.status, outcome.forwarded) == (None, ())
        assert assert_says_no_more_than_it_should(outcome)["code"] == case["code"]
        assert len(outcome.audit) == len(outcome.access) == 1
        assert (outcome.audit[0]["decision"], outcome.audit[0]["code"]) == ("refused", case["code"])
        assert outcome.access[0]["verdict"] == case["code"]
        return
    assert_refused(outcome, status=case["status"], code=case["code"])
    # Where bytes were wrong, what follows them on the connection can't be trusted.
    assert ("connection", "close") in outcome.fields


@pytest.mark.parametrize("name", REFUSED)
def test_put_right_it_passes(outcomes: dict[str, Outcome], name: str) -> None:
    passes = REFUSED[name]["passes"]
    sent = passes["head"][0].split(" ")[1]
    assert_passed(outcomes[f"passes: {name}"], passes.get("target", sent))


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("name", FORWARDED)
def test_the_service_sees_the_canonical_target(outcomes: dict[str, Outcome], name: str, version: str) -> None:
    assert_passed(outcomes[f"{version}: {name}"], FORWARDED[name]["target"])


@pytest.mark.parametrize("name", FORWARDED)
def test_a_canonical_target_is_its_own_canonical_form(wire: Wire, name: str) -> None:
    target = FORWARDED[name]["target"]
    outcome = wire.http1(text([f"GET {target} HTTP/1.1", "Host: localhost"]))
    assert [seen.target for seen in outcome.forwarded] == [target]


def test_what_nginx_can_not_tell_from_crlf_is_forwarded_with_crlf(wire: Wire) -> None:
    """One space and LF: nginx keeps no trace of which it was. The service gets one reading all the same."""
    outcome = wire.http1(b"GET /a HTTP/1.1\r\nHost: localhost\r\nX-A: b \nX-B: c\r\n\r\n")
    (seen,) = outcome.forwarded
    assert (seen.header("X-A"), seen.header("X-B")) == ("b", "c")


def test_the_route_is_that_of_the_path_that_is_forwarded(backend: Backend) -> None:
    """Other spellings of a guarded path meet its guards, or pass as other paths; none goes around them."""
    rules = policy(backend)
    rules["routes"] = [
        {"prefix": "/", "methods": ["GET"], "upstream": "data", "auth": "none"},
        {
            "prefix": "/admin/a~b@c",
            "methods": ["GET"],
            "upstream": "data",
            "auth": "none",
            "addresses": {"deny": ["127.0.0.0/8"]},
        },
    ]
    with Gateway(rules) as gateway:
        wire = Wire(gateway, backend)
        for target in (
            "/admin/a~b@c",
            "/admin/a~b@c/d",
            "/%61dmin/a%7eb@c",
            "/admin/a%7Eb%40c",
            "/%61%64%6d%69%6E/%61%7E%62%40%63/x?y",
            "http://localhost/admin/%61~b@c",
        ):
            outcome = wire.http1(text([f"GET {target} HTTP/1.1", "Host: localhost"]))
            assert (outcome.status, outcome.forwarded) == (403, ()), target
        for target in ("/ADMIN/a~b@c", "/admin/a~b@cd", "/admin%2520/a~b@c", "/admin/a~b"):
            outcome = wire.http1(text([f"GET {target} HTTP/1.1", "Host: localhost"]))
            assert outcome.status == 200, target


# --- What is more than can be looked at --------------------------------------------------------------------


def more_than_is_read(wire: Wire, version: str, fields: int, arguments: int) -> Outcome:
    """Send a request with so many header fields in all, and so many arguments."""
    target = "/a?" + "&".join(["a=b"] * arguments)
    if version == "HTTP/2":
        # :authority stands among the fields as Host does.
        return wire.http2({"set": {":path": target}, "add": [["x-a", "b"]] * (fields - 1)})
    return wire.http1(text([f"GET {target} HTTP/1.1", "Host: localhost", *["X-A: b"] * (fields - 1)]))


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_more_fields_than_are_looked_at_are_refused(
    wire: Wire, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http.client, "_MAXHEADERS", 1000)  # the recording service's own bound
    outcomes = {"more": more_than_is_read(wire, version, MOST_FIELDS + 1, 1)}
    outcomes["most"] = more_than_is_read(wire, version, MOST_FIELDS, 1)
    outcomes = wire.with_events(outcomes)
    assert_refused(outcomes["more"], status=431, code="header_too_large")
    assert len(assert_passed(outcomes["most"]).all("X-A")) == MOST_FIELDS - 1


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_more_arguments_than_are_looked_at_are_refused(wire: Wire, version: str) -> None:
    outcomes = {"more": more_than_is_read(wire, version, 1, MOST_ARGUMENTS + 1)}
    outcomes["most"] = more_than_is_read(wire, version, 1, MOST_ARGUMENTS)
    outcomes = wire.with_events(outcomes)
    assert_refused(outcomes["more"], status=400, code="not_canonical")
    assert assert_passed(outcomes["most"]).target.count("a=b") == MOST_ARGUMENTS


def test_no_field_is_dropped_unseen(wire: Wire) -> None:
    """Nginx drops names with underscores and dots unless told not to; a service may read them."""
    names = ["X_Under_Score", "X.Dot", "x!#$%&'*+^`|~1", "_", "Accept_Encoding"]
    outcome = wire.http1(
        text(["GET /a HTTP/1.1", "Host: localhost", *[f"{name}: {name}-value" for name in names]])
    )
    (seen,) = outcome.forwarded
    for name in names:
        assert seen.header(name) == f"{name}-value"


# --- Bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["", "hello", "h" * 65536], ids=["an empty body", "a small body", "a body as large as may be"]
)
def test_an_http2_body_without_a_length_passes(wire: Wire, body: str) -> None:
    outcome = wire.http2({"set": {":method": "POST"}, "body": body})
    assert outcome.status == 200
    (seen,) = outcome.forwarded
    assert seen.body == body.encode()
    assert seen.header("Content-Length") == str(len(body))
    assert seen.all("Transfer-Encoding") == []


def test_a_chunked_body_is_forwarded_with_a_length(wire: Wire) -> None:
    body = "5;extension=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: a\r\n\r\n"
    outcome = wire.http1(
        text(
            ["POST /a HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", "Trailer: X-Trailer"], body
        )
    )
    (seen,) = outcome.forwarded
    assert (seen.body, seen.header("Content-Length")) == (b"hello!", "6")
    assert seen.all("Transfer-Encoding") == seen.all("Trailer") == seen.all("X-Trailer") == []


def test_bodies_of_refused_requests_are_never_taken_for_requests(gateway: Gateway, backend: Backend) -> None:
    """What follows a refused head is read away, or the connection ends."""
    before = len(backend.requests)
    hidden = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    heads: list[list[str]] = [
        ["PATCH /a HTTP/1.1", "Host: localhost", f"Content-Length: {len(hidden)}"],
        ["POST /a//b HTTP/1.1", "Host: localhost", f"Content-Length: {len(hidden)}"],
        ["POST /a HTTP/1.1", "Host: localhost", "Content-Length: 2", f"Content-Length: {len(hidden)}"],
        ["POST /a HTTP/1.1", "Host: localhost", "Transfer-Encoding : chunked"],
        ["TRACE /a HTTP/1.1", "Host: localhost", f"Content-Length: {len(hidden)}"],
        ["GET /a HTTP/1.2", "Host: localhost"],
    ]
    for head in heads:
        after = "GET /after HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answers = gateway.raw(text(head, hidden + after), responses=2)
        seen = [request.target for request in backend.requests[before:]]
        assert "/smuggled" not in seen, head
        assert answers.count(b"HTTP/1.1 ") == 1 + seen.count("/after"), head
        before += len(seen)


def test_two_readings_are_refused_without_a_reading_in_the_logs(gateway: Gateway, wire: Wire) -> None:
    """The logs show the target as it came; secrets in it are masked there as in any other."""
    outcome = wire.http1(text(["GET /a/../b?access_token=secret-1&c=d HTTP/1.1", "Host: localhost"]))
    (found,) = wire.with_events({"one": outcome}).values()
    event, line = found.audit[0], found.access[0]
    assert event["path"] == "/a/../b"
    assert line["path"].startswith("/a/../b?")
    logs = (gateway.state / "log" / "audit.jsonl").read_text() + str(gateway.access())
    assert "secret-1" not in logs
    assert "c=d" in event["query"]


def test_pipelined_requests_are_read_one_by_one(gateway: Gateway, backend: Backend) -> None:
    before = len(backend.requests)
    one = "GET /pipelined/{} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answers = gateway.raw("".join(one.format(n) for n in range(20)).encode(), responses=20)
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 20
    assert [seen.target for seen in backend.requests[before:]] == [f"/pipelined/{n}" for n in range(20)]


def test_streams_of_one_connection_are_read_apart(wire: Wire, gateway: Gateway) -> None:
    """A refused stream leaves the others of its connection alone."""
    with Connection(wire.port, gateway.context()) as connection:
        streams = [
            connection.send(request(path))
            for path in ("/good/1", "/bad//1", "/good/2", "/bad%2f2", "/good/3")
        ]
        statuses: list[Any] = [connection.await_answer(stream).status for stream in streams]
    assert statuses == [200, 400, 200, 400, 200]
