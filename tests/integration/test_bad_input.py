"""Bytes that may stand nowhere, and too much of everything: refused and logged, and nothing grows."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from tests.support.backend import Backend
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection, request
from tests.support.memory import private_bytes
from tests.support.raw import exchange, status_of
from tests.support.refusals import (
    CASES,
    CLIENTS_FAULT,
    Outcome,
    Wire,
    assert_logged_once,
    assert_passed,
    assert_refused,
    policy,
    text,
)
from tests.support.wire import port_of

PLACES: Any = YAML(typ="safe", pure=True).load(CASES / "wire_bytes.yaml")
SEED: Final = 20261124


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend) | {"listen": {"http": {"redirect": False}}}) as running:
        running.expect_error(CLIENTS_FAULT)
        workers = running.worker_pids()
        yield running
        assert running.worker_pids() == workers, "a worker had to be started again"


def logged(wire: Wire, outcome: Outcome) -> Outcome:
    return wire.with_events({"": outcome})[""]


def assert_aborted(outcome: Outcome) -> None:
    """Check that a stream was reset, or its connection closed, and that this is in both logs."""
    assert outcome.reset
    assert outcome.forwarded == ()
    assert_logged_once(outcome, status=0, code="stream_reset", decision="aborted")


# --- NUL and what is not UTF-8, everywhere -----------------------------------------------------------------


def spots(version: str) -> list[tuple[str, str, str]]:
    return [(version, place, found) for place in PLACES[version] for found in PLACES["bytes"]]


SPOTS: Final = spots("http1") + spots("http2")
assert len(SPOTS) >= 180


@pytest.fixture(scope="module")
def outcomes(wire: Wire) -> dict[tuple[str, str, str], Outcome]:
    def put(template: Any, found: str) -> Any:
        return json.loads(json.dumps(template).replace("@", json.dumps(found)[1:-1]))

    sent = {}
    for version, place, found in SPOTS:
        case = put(PLACES[version][place], PLACES["bytes"][found])
        name = f"{version}|{place}|{found}"
        sent[name] = wire.http1(text(case)) if version == "http1" else wire.http2(case)
    told = wire.with_events(sent)
    return {spot: told["|".join(spot)] for spot in SPOTS}


@pytest.mark.parametrize("spot", SPOTS, ids="-".join)
def test_bytes_that_may_stand_nowhere(
    outcomes: dict[tuple[str, str, str], Outcome], spot: tuple[str, str, str]
) -> None:
    outcome = outcomes[spot]
    if spot[0] == "http2" and spot[2] == "NUL":
        assert_aborted(outcome)
        return
    code = "not_canonical" if outcome.audit[0]["code"] == "not_canonical" else "bad_request"
    assert_refused(outcome, status=400, code=code)
    logged = json.dumps(outcome.audit) + json.dumps(outcome.access)
    assert logged.isascii(), "the logs show such bytes as escapes"


def test_utf8_in_values_passes(wire: Wire) -> None:
    """It is in use, whatever the RFC says of it."""
    sent = {
        "http1": wire.http1(
            text(["GET /a HTTP/1.1", "Host: localhost", "X-A: \xe2\x82\xac \xf0\x9f\x8f\xb0"])
        ),
        "http2": wire.http2({"add": [["x-a", "\xe2\x82\xac \xf0\x9f\x8f\xb0"]]}),
    }
    for outcome in wire.with_events(sent).values():
        seen = assert_passed(outcome)
        value = seen.header("X-A")
        assert value is not None
        assert value.encode("latin-1").decode() == "€ 🏰"


# --- Too much ----------------------------------------------------------------------------------------------

MEGABYTE: Final = 1_000_000

TOO_MUCH: Final[dict[str, tuple[list[str], int, str]]] = {
    "1 MB of token": ([f"Authorization: Bearer {'a' * MEGABYTE}"], 431, "header_too_large"),
    "1 MB of cookies": ([f"Cookie: {'a=b; ' * (MEGABYTE // 5)}"], 431, "header_too_large"),
    "a name of 1 MB": ([f"{'X' * MEGABYTE}: b"], 431, "header_too_large"),
    "10,000 headers": ([f"X-Header-{n}: value" for n in range(10000)], 431, "header_too_large"),
    "10,000 headers that fit": (["a:"] * 10000, 431, "header_too_large"),
    "10,000 Cookie fields that fit": (["Cookie:"] * 5000, 431, "header_too_large"),
    "101 headers": (["X-A: b"] * 100, 431, "header_too_large"),
}


@pytest.fixture(scope="module")
def too_much(wire: Wire) -> dict[str, Outcome]:
    sent = {
        name: wire.http1(text(["GET /a HTTP/1.1", "Host: localhost", *fields]))
        for name, (fields, _, _) in TOO_MUCH.items()
    }
    sent["a path of 1 MB"] = wire.http1(text([f"GET /{'a' * MEGABYTE} HTTP/1.1", "Host: localhost"]))
    sent["a query of 1 MB"] = wire.http1(
        text([f"GET /?{'a&' * (MEGABYTE // 2)} HTTP/1.1", "Host: localhost"])
    )
    sent["a method of 1 MB"] = wire.http1(text([f"{'G' * MEGABYTE} / HTTP/1.1", "Host: localhost"]))
    sent["a Host of 1,000 bytes"] = wire.http1(text(["GET /a HTTP/1.1", f"Host: {'a' * 1000}"]))
    return wire.with_events(sent)


EXPECTED: Final = {name: (status, code) for name, (_, status, code) in TOO_MUCH.items()} | {
    "a path of 1 MB": (414, "uri_too_long"),
    "a query of 1 MB": (414, "uri_too_long"),
    "a method of 1 MB": (414, "uri_too_long"),
    "a Host of 1,000 bytes": (400, "bad_request"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_too_much_is_refused(too_much: dict[str, Outcome], name: str) -> None:
    status, code = EXPECTED[name]
    outcome = too_much[name]
    if outcome.status is None:  # nginx closed while the client still sent, which can cost it the answer
        assert len(outcome.body) == len(outcome.forwarded) == 0
        assert_logged_once(outcome, status=status, code=code)
    else:
        assert_refused(outcome, status=status, code=code)
    assert len(json.dumps(outcome.audit + outcome.access)) < 32768, "what is logged is bounded"


def test_too_much_over_http2_is_refused_or_cut_off(wire: Wire) -> None:
    sent = {
        "1 MB of token": wire.http2({"add": [["authorization", f"Bearer {'a' * MEGABYTE}"]]}),
        "a name of 1 MB": wire.http2({"add": [["x" * MEGABYTE, "b"]]}),
        "a path of 1 MB": wire.http2({"set": {":path": "/" + "a" * MEGABYTE}}),
        "10,000 headers": wire.http2({"add": [[f"x-header-{n}", "value"] for n in range(10000)]}),
        "101 headers": wire.http2({"add": [["x-a", "b"]] * 101}),
    }
    for name, outcome in wire.with_events(sent).items():
        if "headers" in name:
            assert_refused(outcome, status=431, code="header_too_large")
        else:  # no buffer of nginx takes it: ENHANCE_YOUR_CALM
            assert_aborted(outcome)


def test_a_small_header_repeated_by_reference_is_counted(wire: Wire, gateway: Gateway) -> None:
    """HPACK lets one byte stand for a field of 3,900 (a bomb): the bounds are on what it stands for."""
    with Connection(wire.port, gateway.context()) as connection:
        before = len(gateway.audit())
        big = (b"x-big", b"b" * 3900)
        # The second one and all further are one byte each.
        stream = connection.send([*request("/a"), *[big] * 2000])
        answer = connection.await_answer(stream)
        assert answer.status in {None, 431}
        wait_for(lambda: len(gateway.audit()) > before)
    assert_passed(logged(wire, wire.http2({})))


@pytest.mark.parametrize(
    "case",
    [
        {"add": [["content-length", "65537"]], "body": "b" * 65537},
        {"add": [["content-length", "10000000"]], "body": "b" * 10_000_000},
        {"body": "b" * 65537},
        {"body": "b" * 10_000_000},
    ],
    ids=["a length", "a large length", "no length", "no length and much of it"],
)
def test_a_body_over_the_cap_over_http2(wire: Wire, case: dict[str, Any]) -> None:
    outcome = logged(wire, wire.http2({"set": {":method": "POST"}, **case}))
    assert_refused(outcome, status=413, code="body_too_large")


@pytest.mark.parametrize("size", [65537, 10_000_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_over_the_cap(wire: Wire, framing: str, size: int) -> None:
    if framing == "length":
        data = text(["POST /a HTTP/1.1", "Host: localhost", f"Content-Length: {size}"], "b" * size)
    else:
        chunk = "1000\r\n" + "b" * 4096 + "\r\n"
        body = chunk * (size // 4096 + 1) + "0\r\n\r\n"
        data = text(["POST /a HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked"], body)
    assert_refused(logged(wire, wire.http1(data)), status=413, code="body_too_large")


def test_a_body_at_the_cap_passes(wire: Wire) -> None:
    body = "b" * 65536
    head = ["POST /a HTTP/1.1", "Host: localhost"]
    for data in (
        text([*head, "Content-Length: 65536"], body),
        text([*head, "Transfer-Encoding: chunked"], f"10000\r\n{body}\r\n0\r\n\r\n"),
    ):
        (seen,) = wire.http1(data).forwarded
        assert seen.body == body.encode()


# --- Nothing grows -----------------------------------------------------------------------------------------


def bad_requests(chance: random.Random) -> Iterator[bytes]:
    """Yield different bad requests for ever; what could be remembered of them never repeats."""
    for n in itertools.count():
        word = f"{chance.getrandbits(64):x}"
        yield from (
            text([f"GET /{word}//{n} HTTP/1.1", f"Host: {word}.example"]),
            text([f"GET /{word}\0 HTTP/1.1", "Host: localhost"]),
            text(["GET / HTTP/1.1", "Host: localhost", f"X-{word}: \xff{word}"]),
            text(["GET / HTTP/1.1", "Host: localhost", f"X-{word}\xff: a"]),
            text(["GET / HTTP/1.1", f"Host: {word}@localhost"]),
            text([f"GET /?{word}=\xff HTTP/1.1", "Host: localhost"]),
            text(["GET / HTTP/1.1", "Host: localhost", *[f"X-{word}-{i}: {word}" for i in range(101)]]),
            text(["POST / HTTP/1.1", "Host: localhost", f"Content-Length: {word}x"]),
            text([f"GET /{word} HTTP/1.{n}2", "Host: localhost"]),
            text([f"{'GET'}  /{word} HTTP/1.1", "Host: localhost"]),
            text([f"GET /{word}{'a' * 15000}/../ HTTP/1.1", "Host: localhost"]),
            text(["GET / HTTP/1.1", "Host: localhost", f"Authorization: Bearer {word}{'a' * 15000}\x01"]),
        )
        if n % 10 == 0:
            yield text(["GET / HTTP/1.1", "Host: localhost", f"X-A: {word * 60000}"])


def test_memory_stays_flat(gateway: Gateway) -> None:
    port = port_of(gateway, tls=False)
    requests = bad_requests(random.Random(SEED))  # noqa: S311

    def spend(count: int) -> Counter[int]:
        return Counter(status_of(exchange(port, data)) for data in itertools.islice(requests, count))

    spend(1000)
    before = private_bytes(gateway.worker_pids())
    statuses = spend(4000)
    assert set(statuses) == {400, 431, 505}
    # What is remembered is bounded at some megabytes a worker, and the collector has not got round to all.
    assert private_bytes(gateway.worker_pids()) - before < 24_000_000
