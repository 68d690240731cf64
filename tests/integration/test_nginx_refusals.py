"""What nginx refuses by itself, before any guard is asked, is answered and logged like our own refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.backend import Backend
from tests.support.gateway import Gateway
from tests.support.http2 import Connection, request
from tests.support.raw import exchange, status_of
from tests.support.refusals import (
    CLIENTS_FAULT,
    Outcome,
    Wire,
    assert_logged_once,
    assert_passed,
    assert_refused,
    load,
    policy,
    text,
)

HTTP1 = load("wire_nginx.yaml")
HTTP2 = load("wire_http2.yaml")
RESET = {name: case for name, case in HTTP2.items() if "status" not in case}
ANSWERED = {name: case for name, case in HTTP2.items() if "status" in case}
assert len(HTTP1) >= 50
assert len(RESET) >= 18
assert len(ANSWERED) >= 40


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend)) as running:
        running.expect_error(CLIENTS_FAULT)
        yield running


# --- Over HTTP/1 -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcomes(wire: Wire) -> dict[str, Outcome]:
    """What came of every case, and of every case put right."""
    sent = {}
    for name, case in HTTP1.items():
        sent[name] = wire.http1(text(case["head"], case.get("body", "")))
        sent[f"passes: {name}"] = wire.http1(text(case["passes"]["head"], case["passes"].get("body", "")))
    return wire.with_events(sent)


@pytest.mark.parametrize("name", HTTP1)
def test_it_is_refused(outcomes: dict[str, Outcome], name: str) -> None:
    case, outcome = HTTP1[name], outcomes[name]
    problem = assert_refused(outcome, status=case["status"], code=case["code"])
    assert ("connection", "close") in outcome.fields
    # What was not read as a target is not shown as one.
    assert problem.get("instance") in {None, case["head"][0].split(" ")[1]}
    if case["status"] == 405:  # RFC 9110 section 15.5.6: Allow must be there
        allowed = dict(outcome.fields)["allow"].split(", ")
        assert allowed == ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]


@pytest.mark.parametrize("name", HTTP1)
def test_put_right_it_passes(outcomes: dict[str, Outcome], name: str) -> None:
    assert_passed(outcomes[f"passes: {name}"])


# --- Over HTTP/2 -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def http2_outcomes(wire: Wire) -> dict[str, Outcome]:
    """What came of every case, and of every case put right."""
    sent = {}
    for name, case in HTTP2.items():
        sent[name] = wire.http2(case)
        sent[f"passes: {name}"] = wire.http2(case["passes"])
    return wire.with_events(sent)


@pytest.mark.parametrize("name", ANSWERED)
def test_it_is_refused_over_http2(http2_outcomes: dict[str, Outcome], name: str) -> None:
    outcome = http2_outcomes[name]
    assert_refused(outcome, status=ANSWERED[name]["status"], code=ANSWERED[name]["code"])
    assert not outcome.reset


@pytest.mark.parametrize("name", RESET)
def test_its_stream_is_reset_and_that_is_logged(http2_outcomes: dict[str, Outcome], name: str) -> None:
    outcome = http2_outcomes[name]
    assert outcome.reset
    assert (outcome.status, outcome.forwarded, outcome.body) == (None, (), b"")
    assert_logged_once(outcome, status=0, code="stream_reset", decision="aborted")


@pytest.mark.parametrize("name", HTTP2)
def test_put_right_it_passes_over_http2(http2_outcomes: dict[str, Outcome], name: str) -> None:
    assert_passed(http2_outcomes[f"passes: {name}"])


def test_a_reset_stream_leaves_the_others_alone(gateway: Gateway, wire: Wire) -> None:
    with Connection(wire.port, gateway.context()) as connection:
        good = connection.send(request("/good", "POST"), end=False)
        bad = connection.send([*request("/bad"), (b"X-Capital", b"a")])
        assert connection.await_answer(bad).reset is not None
        connection.send_body(good, b"still here")
        assert connection.await_answer(good).status == 200


# --- What is never to be seen ------------------------------------------------------------------------------


def test_head_has_no_body(gateway: Gateway) -> None:
    answer = gateway.raw(text(["HEAD /a HTTP/2.0", "Host: localhost"]), head_only=True)
    assert status_of(answer) == 505
    answer = gateway.raw(text(["HEAD //a HTTP/1.1", "Host: localhost", "Connection: close"]), head_only=True)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (status_of(answer), body) == (400, b"")
    assert re.search(rb"\r\nContent-Length: [1-9]", head)


def test_the_version_of_nginx_is_not_told(outcomes: dict[str, Outcome]) -> None:
    assert {dict(outcome.fields)["server"] for outcome in outcomes.values()} == {"nginx"}


def test_bytes_that_are_not_http_get_an_answer_or_a_close(gateway: Gateway, backend: Backend) -> None:
    before = len(backend.requests)
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\xff" * 64 + b"\r\n\r\n", b"\0" * 16 + b"\r\n",
                 b"SSH-2.0-x\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"EHLO a\r\n"):  # fmt: skip
        for tls in (True, False):
            context = gateway.context() if tls else None
            port = int((gateway.https if tls else gateway.http).rpartition(":")[2])
            answer = exchange(port, data + b"\r\n\r\n", tls=context)
            assert b"<html" not in answer
            if answer.startswith(b"HTTP/"):
                assert 400 <= status_of(answer) < 600
                assert status_of(answer) not in {500, 502, 503, 504}
    assert len(backend.requests) == before
