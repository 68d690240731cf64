"""Every status that nginx gives by itself is answered and logged like our own; an upstream's are its own."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bartizan.layout import work_folder
from tests.support.backend import Backend, Response
from tests.support.gateway import Gateway
from tests.support.http2 import Connection, request
from tests.support.ports import free_port
from tests.support.raw import status_of
from tests.support.refusals import (
    CLIENTS_FAULT,
    Outcome,
    Wire,
    assert_logged_once,
    assert_refused,
    assert_says_no_more_than_it_should,
    policy,
    text,
)

# 411, 415, 416, 421, and 495 and 496 (client certificates) can't be provoked in this configuration; 408 is in
# test_half_requests.py.


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend)) as running:
        running.expect_error(CLIENTS_FAULT)
        yield running


def logged(wire: Wire, outcome: Outcome) -> Outcome:
    return wire.with_events({"": outcome})[""]


def test_400_for_plain_http_on_the_tls_port(wire: Wire) -> None:
    """Nginx's 497."""
    outcome = logged(wire, wire.http1(text(["GET /a HTTP/1.1", "Host: localhost"]), tls=False))
    problem = assert_refused(outcome, status=400, code="plain_http")
    assert "HTTPS" in problem["detail"]
    assert "strict-transport-security" not in dict(outcome.fields)


def test_refusals_over_tls_carry_hsts(wire: Wire) -> None:
    outcome = wire.http1(text(["GET /a HTTP/2.0", "Host: localhost"]))
    assert dict(outcome.fields)["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("listener", ["https", "http"])
def test_both_listeners_refuse_alike(gateway: Gateway, listener: str) -> None:
    """On the one that only redirects, too."""
    answer = gateway.raw(text(["GET /a HTTP/1.1", "Host: localhost", "Host: b"]), tls=listener == "https")
    assert status_of(answer) == 400
    assert b"application/problem+json" in answer
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer
    assert b'"code":"bad_request"' in answer


def test_405_allow_names_what_the_path_is_served_for(backend: Backend) -> None:
    rules = policy(backend)
    rules["routes"] = [{"prefix": "/a", "methods": ["GET"], "upstream": "data", "auth": "none"}]
    with Gateway(rules) as gateway:
        wire = Wire(gateway, backend)
        # nginx sends no empty field, as Allow would be where nothing is served.
        expected = {"/a/b": "GET, HEAD", "/other": ""}
        sent = {path: wire.http1(text([f"TRACE {path} HTTP/1.1", "Host: localhost"])) for path in expected}
        for path, outcome in wire.with_events(sent).items():
            assert_refused(outcome, status=405, code="method_not_allowed")
            assert dict(outcome.fields).get("allow", "") == expected[path]


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_413_for_a_body_over_the_cap(wire: Wire, version: str) -> None:
    size = 65537
    if version == "HTTP/2":
        fields = [["content-length", str(size)]]
        outcome = wire.http2({"set": {":method": "POST"}, "add": fields, "body": "b" * size})
    else:
        head = ["POST /a HTTP/1.1", "Host: localhost", f"Content-Length: {size}"]
        outcome = wire.http1(text(head, "b" * size))
    problem = assert_refused(logged(wire, outcome), status=413, code="body_too_large")
    assert problem["instance"] == "/a"


@pytest.mark.parametrize(
    ("line", "events"),
    [("PATCH /a", 2), ("GET /healthz", 1), ("POST /a//b", 2), ("POST /a", 1)],
    ids=["a wrong method", "the gateway's own answer", "a target with two readings", "a route"],
)
def test_400_for_malformed_chunks_whatever_was_to_be_answered(
    wire: Wire, backend: Backend, line: str, events: int
) -> None:
    """They can't be read away, so what follows them is not read; a refusal before them stays in the log."""
    before = len(backend.requests)
    head = [f"{line} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked"]
    hidden = text(["GET /smuggled HTTP/1.1", "Host: localhost"]).decode()
    outcome = logged(wire, wire.http1(text(head, f"zz\r\n\r\n{hidden}")))
    assert outcome.status == 400
    assert ("connection", "close") in outcome.fields
    assert assert_says_no_more_than_it_should(outcome)["code"] == "bad_request"
    assert len(outcome.audit) == events
    assert (outcome.audit[-1]["status"], outcome.audit[-1]["code"]) == (400, "bad_request")
    assert (outcome.access[0]["status"], outcome.access[0]["verdict"]) == (400, "bad_request")
    assert len(backend.requests) == before


def test_413_before_a_body_that_waits_for_100(wire: Wire) -> None:
    """RFC 9110 section 10.1.1: the client is told before it sends the body."""
    head = ["POST /a HTTP/1.1", "Host: localhost", "Expect: 100-continue", "Content-Length: 70000"]
    assert_refused(logged(wire, wire.http1(text(head))), status=413, code="body_too_large")


def test_a_body_that_waits_for_100_is_asked_for(gateway: Gateway) -> None:
    head = ["POST /a HTTP/1.1", "Host: localhost", "Expect: 100-continue", "Content-Length: 2"]
    answer = gateway.raw(text(head, "ab"))
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_414_for_a_request_line_over_the_buffer(wire: Wire) -> None:
    long = logged(wire, wire.http1(text([f"GET /{'a' * 17000} HTTP/1.1", "Host: localhost"])))
    assert_refused(long, status=414, code="uri_too_long")
    assert len(long.audit[0]["path"]) <= 4096
    assert wire.http1(text([f"GET /{'a' * 16000} HTTP/1.1", "Host: localhost"])).status == 200


@pytest.mark.parametrize(
    "fields",
    [[f"X-A: {'a' * 17000}"], ["X-A: " + "a" * 16000] * 5, [f"X-{'a' * 17000}: b"]],
    ids=["one field", "all fields", "a name"],
)
def test_431_for_a_header_over_the_buffers(wire: Wire, fields: list[str]) -> None:
    """Nginx's 494."""
    outcome = logged(wire, wire.http1(text(["GET /a HTTP/1.1", "Host: localhost", *fields])))
    assert_refused(outcome, status=431, code="header_too_large")


def test_a_token_of_8192_bytes_gets_our_answer(wire: Wire) -> None:
    """The buffers take it, so that the token guard can say what is wrong with it (nothing guards here)."""
    token = "a" * 8192
    for outcome in (
        wire.http1(text(["GET /a HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"])),
        wire.http2({"add": [["authorization", f"Bearer {token}"]]}),
    ):
        (seen,) = outcome.forwarded
        assert seen.header("Authorization") == f"Bearer {token}"


def test_429_for_too_many_connections_of_one_address(gateway: Gateway, wire: Wire) -> None:
    """Nginx counts each HTTP/2 stream as a connection; these wait for their bodies."""
    most, streams = 1000, 125
    with ExitStack() as stack:
        connections = [
            stack.enter_context(Connection(wire.port, gateway.context())) for _ in range(most // streams)
        ]
        for connection in connections:
            for _ in range(streams):
                connection.send(request("/held", "POST"), end=False)
            # An answer comes after the streams before it were taken in.
            assert connection.exchange(request("/healthz")).status in {200, 429}
        outcome = logged(wire, wire.http1(text(["GET /a HTTP/1.1", "Host: localhost"])))
        assert_refused(outcome, status=429, code="too_many_connections")
        assert dict(outcome.fields)["retry-after"] == "1"
        held = connections[0].send(request("/held", "POST"), end=False)
        assert connections[0].await_answer(held).status == 429

    def free() -> bool:
        return wire.http1(text(["GET /a HTTP/1.1", "Host: localhost"])).status == 200

    assert any(free() for _ in range(1000))


def test_500_is_ours_too(backend: Backend) -> None:
    """Provoked by a folder for long bodies in which workers can't write."""
    with Gateway(policy(backend, body="1MiB")) as gateway:
        gateway.expect_error(r"\[crit\].*temp-body.*Permission denied")
        folder = work_folder(gateway.state) / "temp-body"
        folder.chmod(0)
        if os.geteuid() == 0:
            os.chown(folder, 0, 0)
        wire = Wire(gateway, backend)
        head = ["POST /a HTTP/1.1", "Host: localhost", "Content-Length: 200000"]
        outcome = logged(wire, wire.http1(text(head, "b" * 200000)))
        assert (outcome.status, outcome.forwarded) == (500, ())
        assert assert_says_no_more_than_it_should(outcome)["code"] == "internal_error"
        assert_logged_once(outcome, status=500, code="internal_error", decision="failed")
        assert wire.http1(text(head, "b" * 200000)).status == 500, "the worker goes on"


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_502_and_504_of_the_upstream(version: str) -> None:
    def wait(connection: socket.socket) -> None:
        connection.recv(1)  # the gateway gives up, and closes

    with Backend(lambda _request: Response(takeover=wait)) as slow:
        rules = policy(slow)
        rules["upstreams"]["data"]["read_timeout"] = "300ms"
        rules["upstreams"]["away"] = {"servers": [f"http://127.0.0.1:{free_port()}"]}
        rules["routes"].append({"prefix": "/away", "methods": ["GET"], "upstream": "away", "auth": "none"})
        with Gateway(rules) as gateway:
            gateway.expect_error("Connection refused|upstream timed out|no live upstreams")
            wire = Wire(gateway, slow)
            expected = {"/slow": (504, "upstream_timeout"), "/away": (502, "upstream_unavailable")}
            sent = {
                path: wire.http1(text([f"GET {path} HTTP/1.1", "Host: localhost"]))
                if version == "HTTP/1.1"
                else wire.http2({"set": {":path": path}})
                for path in expected
            }
            for path, outcome in wire.with_events(sent).items():
                status, code = expected[path]
                problem: dict[str, Any] = json.loads(outcome.body)
                assert outcome.status == problem["status"] == status
                assert (problem["code"], problem["instance"]) == (code, path)
                assert b"nginx" not in outcome.body
                assert_logged_once(outcome, status=status, code=code, decision="failed")
                assert outcome.audit[0]["guard"] == "upstream"
                assert outcome.audit[0]["route"]


def test_an_upstreams_own_errors_pass_as_they_are(wire: Wire, backend: Backend) -> None:
    """They are the service's answers, pages of its own included; none of them is an event."""
    statuses = (400, 403, 404, 405, 413, 429, 500, 501, 502, 503, 504, 505)
    given = backend.respond
    backend.respond = lambda request: Response(
        int(request.target[1:]), (("Content-Type", "text/html"),), b"<p>mine</p>"
    )
    try:
        sent = {
            str(status): wire.http1(text([f"GET /{status} HTTP/1.1", "Host: localhost"]))
            for status in statuses
        }
    finally:
        backend.respond = given
    for status, outcome in wire.with_events(sent).items():
        assert (outcome.status, outcome.body) == (int(status), b"<p>mine</p>")
        assert outcome.audit == ()
        line = outcome.access[0]
        assert (line["verdict"], line["status"], line["upstream_status"]) == ("passed", int(status), status)
