"""What no honest client sends is refused, cut off or reset, and always logged; nothing grows or breaks."""

from __future__ import annotations

import itertools
import json
import random
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import pytest
from h2.connection import H2Connection
from ruamel.yaml import YAML

from tests.support.backend import Backend
from tests.support.fuzz import mutate
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection, request
from tests.support.memory import private_bytes
from tests.support.raw import exchange, status_of
from tests.support.refusals import (
    CASES,
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

# nginx says at its level "error" what clients did wrong with a body.
CLIENTS_FAULT: Final = r"client (intended to send too large|sent invalid chunked) "


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend) | {"listen": {"http": {"redirect": False}}}) as running:
        running.expect_error(CLIENTS_FAULT)
        workers = running.worker_pids()
        yield running
        assert running.worker_pids() == workers, "a worker had to be started again"


@pytest.fixture(scope="module")
def wire(gateway: Gateway, backend: Backend) -> Wire:
    return Wire(gateway, backend)


def logged(wire: Wire, outcome: Outcome) -> Outcome:
    return wire.with_events({"": outcome})[""]


def assert_aborted(outcome: Outcome) -> None:
    """Check that a stream was reset, or its connection closed, and that this is in both logs."""
    assert outcome.reset
    assert outcome.forwarded == ()
    assert_logged_once(outcome, status=0, code="stream_reset", decision="aborted")


# --- Requests that stay half ------------------------------------------------------------------------------
# They are begun with the module and end by the gateway's time-outs (a head within 10 s, a body 15 s after its
# last byte), so that the other tests fill the time.

CHUNKED: Final = ["Host: localhost", "Transfer-Encoding: chunked"]
HALVES: Final = {
    "half a request line": text(["GET /half/line HT"])[:-4],
    "half a head": text(["GET /half/head HTTP/1.1", "Host: localhost", "X-A: b"])[:-2],
    "half a body": text(["POST /half/body HTTP/1.1", "Host: localhost", "Content-Length: 10"], "abc"),
    "half a chunk": text(["POST /half/chunk HTTP/1.1", *CHUNKED], "5\r\na"),
    "no last chunk": text(["POST /half/end HTTP/1.1", *CHUNKED], "1\r\na\r\n"),
}
DRIBBLE: Final = text(["GET /half/dribble HTTP/1.1", "Host: localhost"])[:-2] + b"X-A: b\r\n" * 100


@dataclass
class Half:
    """A connection on which half a request was sent, and what came back when it ended."""

    connection: socket.socket
    answer: bytes = b""

    def await_end(self) -> bytes:
        try:
            while chunk := self.connection.recv(65536):
                self.answer += chunk
        except (ConnectionResetError, ssl.SSLEOFError):
            pass  # reset_timedout_connection: nginx keeps nothing of it
        return self.answer


@dataclass
class Halves:
    """All of them."""

    http1: dict[str, Half]
    http2: dict[str, tuple[Connection, int]]
    dribbled: Callable[[], int]


@pytest.fixture(scope="module", autouse=True)
def halves(gateway: Gateway) -> Iterator[Halves]:
    def open_half(data: bytes) -> Half:
        plain = socket.create_connection(("127.0.0.1", port_of(gateway)), timeout=60)
        connection = gateway.context().wrap_socket(plain, server_hostname="localhost")
        connection.sendall(data)
        return Half(connection)

    sent = 0
    stop = threading.Event()

    def dribble() -> None:
        nonlocal sent
        with socket.create_connection(("127.0.0.1", port_of(gateway, tls=False)), timeout=60) as connection:
            for byte in DRIBBLE:
                try:
                    connection.sendall(bytes([byte]))
                except (ConnectionResetError, BrokenPipeError):
                    return
                sent += 1
                if stop.wait(0.05):
                    return

    thread = threading.Thread(target=dribble)
    thread.start()
    http1 = {name: open_half(data) for name, data in HALVES.items()}
    body = Connection(port_of(gateway), gateway.context(), seconds=60)
    body_stream = body.send(request("/half/http2", "POST"), end=False)
    body.send_body(body_stream, b"abc", end=False)

    def dribbled() -> int:
        thread.join(60)
        assert not thread.is_alive()
        return sent

    yield Halves(http1, {"half a body over HTTP/2": (body, body_stream)}, dribbled)
    stop.set()
    thread.join()
    for half in http1.values():
        half.connection.close()
    body.close()


def assert_timed_out(gateway: Gateway, path: str) -> None:
    """Check that the logs have a request that never became whole."""
    event = gateway.wait_for_audit(lambda event: event["path"] == path)
    assert (event["decision"], event["code"], event["status"]) == ("aborted", "request_timeout", 408)
    line = gateway.wait_for_access(lambda line: line["path"] == path)
    assert (line["status"], line["verdict"]) == (408, "request_timeout")


@pytest.mark.parametrize("name", HALVES)
def test_half_a_request_is_cut_off_and_logged(
    gateway: Gateway, backend: Backend, halves: Halves, name: str
) -> None:
    assert halves.http1[name].await_end() == b""
    path = HALVES[name].split(b" ")[1].decode()
    assert_timed_out(gateway, path)
    assert path not in {seen.target for seen in backend.requests}


def test_half_a_body_over_http2_is_reset_and_logged(
    gateway: Gateway, backend: Backend, halves: Halves
) -> None:
    connection, stream = halves.http2["half a body over HTTP/2"]
    answer = connection.await_answer(stream)
    assert answer.status in {None, 408}
    assert answer.reset is not None or connection.ended or answer.status == 408
    assert_timed_out(gateway, "/half/http2")
    assert "/half/http2" not in {seen.target for seen in backend.requests}


def test_a_head_that_comes_byte_by_byte_is_cut_off_all_the_same(gateway: Gateway, halves: Halves) -> None:
    assert halves.dribbled() < len(DRIBBLE)
    assert_timed_out(gateway, "/half/dribble")


@pytest.mark.parametrize("name", HALVES)
def test_half_a_request_that_the_client_gives_up_is_logged(
    gateway: Gateway, backend: Backend, name: str
) -> None:
    """The client closes: no answer is due to anybody."""
    data = HALVES[name].replace(b"/half/", b"/given-up/")
    path = data.split(b" ")[1].decode()
    with socket.create_connection(("127.0.0.1", port_of(gateway, tls=False)), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    line = gateway.wait_for_access(lambda line: line["path"] == path)
    assert line["status"] in {400, 499}
    assert path not in {seen.target for seen in backend.requests}


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


# --- Fuzz --------------------------------------------------------------------------------------------------

VALID: Final = (
    text(["GET /a/b%20c?d=e&f=%2f HTTP/1.1", "Host: localhost", "User-Agent: a/1.0", "Accept: */*"]),
    text(["HEAD /a HTTP/1.1", "Host: localhost:8443", "Connection: close"]),
    text(["GET http://localhost/a?b HTTP/1.1", "Host: localhost", "X-Forwarded-For: 192.0.2.1"]),
    text(["POST /a HTTP/1.1", "Host: localhost", "Content-Type: text/plain", "Content-Length: 5"], "hello"),
    text(
        ["PUT /a/~b HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", "Expect: 100-continue"],
        "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
    ),
    text(
        [
            "GET /a HTTP/1.1",
            "Host: localhost",
            "Cookie: a=b; c=d",
            "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.",
            "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "Connection: keep-alive, X-A",
            "X-A: b",
            "Origin: https://a.example",
        ]
    ),
    text(["OPTIONS /a HTTP/1.0", "Accept-Language: de"]),
    text(["GET /one HTTP/1.1", "Host: localhost"]) + text(["GET /two HTTP/1.1", "Host: localhost"]),
)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_REQUEST_ID: Final = re.compile(rb'(?:\r\nX-Request-Id: |"request_id":")([0-9a-f]{32})')
# RFC 3986 in canonical form: unreserved, sub-delims, and percent-encodings with capital hex.
_CANONICAL: Final = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})*)+(\?[!-~]*)?")


def converse(port: int, data: bytes) -> bytes:
    """Send bytes; if nothing comes back in a moment, say that no more follow; return what came by the end."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(data)
            connection.settimeout(0.5)
            received += connection.recv(65536)
        except TimeoutError:
            pass  # it waits for the rest, which never comes
        except ConnectionError:
            return received
        connection.settimeout(30)
        try:
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass
    return received


def test_mutated_requests_break_nothing(gateway: Gateway, backend: Backend) -> None:
    port = port_of(gateway, tls=False)
    chance = random.Random(SEED)  # noqa: S311
    requests = [mutate(chance, chance.choice(VALID)) for _ in range(1500)]
    before = len(backend.requests)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda data: converse(port, data), requests))

    ids: list[str] = []
    statuses: Counter[int] = Counter()
    for data, answer in zip(requests, answers, strict=True):
        found = [int(status) for status in _STATUS_LINE.findall(answer)]
        statuses.update(found)
        assert not {500, 502, 503, 504} & set(found), (data, answer)
        assert b"<html" not in answer.lower(), (data, answer)  # neither nginx's pages nor the service's own
        told = {value.decode() for value in _REQUEST_ID.findall(answer)}
        final = sum(status >= 200 for status in found)
        # One more where the last answer was one to HTTP/0.9, which has no status line.
        assert 0 <= len(told) - final <= 1, (data, answer)
        ids += told
    # Not a fuzz of refusals alone, nor of what passes alone.
    assert statuses[200] > 200
    assert statuses[400] > 200
    assert len(set(ids)) == len(ids) > 900

    wait_for(lambda: set(ids) <= {line["request_id"] for line in gateway.access()})
    times = Counter(line["request_id"] for line in gateway.access())
    assert all(times[request_id] == 1 for request_id in ids)
    for seen in backend.requests[before:]:
        assert _CANONICAL.fullmatch(seen.target), seen
        assert "/../" not in seen.target.partition("?")[0], seen
        assert "//" not in seen.target.partition("?")[0], seen
        assert len(seen.all("Host")) == 1, seen
        assert len(seen.all("Content-Length")) <= 1, seen
        assert seen.all("Transfer-Encoding") == [], seen
        assert len(seen.all("Authorization")) <= 1, seen


def http2_bytes(*, capital: bool) -> tuple[bytes, int]:
    """Return what a client sends for two requests, and where its connection preface ends."""
    connection = H2Connection()
    connection.initiate_connection()
    preface = connection.data_to_send()
    name = "x-capital" if capital else "x-a"
    connection.send_headers(1, [*request("/a?b=c"), (name.encode(), b"b" * 50)], end_stream=True)
    connection.send_headers(3, request("/b", "POST"))
    connection.send_data(3, b"hello", end_stream=True)
    connection.ping(b"12345678")
    return preface + connection.data_to_send(), 24


def test_mutated_http2_breaks_nothing(gateway: Gateway) -> None:
    """Whatever stands in the frames; what comes back is nginx's affair as long as it ends."""
    chance = random.Random(SEED)  # noqa: S311
    port, workers = port_of(gateway), gateway.worker_pids()
    samples = [http2_bytes(capital=capital) for capital in (True, False)]

    def converse_http2(data: bytes) -> bytes:
        context = gateway.context()
        context.set_alpn_protocols(["h2"])
        received = b""
        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
            connection = context.wrap_socket(plain, server_hostname="localhost")
            try:
                connection.sendall(data)
                connection.settimeout(0.5)
                while chunk := connection.recv(65536):
                    received += chunk
            except (TimeoutError, ConnectionError, ssl.SSLError):
                pass
            finally:
                connection.close()
        return received

    requests = []
    for _ in range(300):
        valid, keep = chance.choice(samples)
        requests.append(mutate(chance, valid, keep=keep))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(converse_http2, requests))
    assert all(b"<html" not in answer.lower() for answer in answers)
    assert sum(bool(answer) for answer in answers) > 250
    assert gateway.worker_pids() == workers
    with gateway.client(http2=True) as client:
        assert client.get("/after").status_code == 200


def test_request_ids_never_repeat(gateway: Gateway) -> None:
    """In all that the other tests of this module, and this one, have brought about."""
    port = port_of(gateway, tls=False)
    one = b"GET /id HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(30):
        exchange(port, one * 100, responses=100)
    wait_for(lambda: sum(line["path"] == "/id" for line in gateway.access()) == 3000)
    times = Counter(line["request_id"] for line in gateway.access())
    assert [request_id for request_id, count in times.items() if count > 1] == []
