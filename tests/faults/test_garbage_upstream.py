"""An upstream that answers garbage: 502 as problem+json, and never the garbage.

What can't be read is a 502 with problem details and an event; what nginx can read is one answer, which nginx
frames; what breaks off is seen to. No client gets bytes that are no answer, and the gateway serves on.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.faults.garbage import BROKEN, REFRAMED, REFUSED, UNREADABLE
from tests.support.backend import Backend, Request, Response, takeover
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection, request
from tests.support.raw import exchange, status_of
from tests.support.refusals import ALWAYS, MEMBERS, policy
from tests.support.wire import HTTP1, HTTP2, fields_of, port_of

KINDS: Final = {"refused": REFUSED, "reframed": REFRAMED, "broken": BROKEN, "unreadable": UNREADABLE}
CASES: Final[Mapping[str, bytes]] = REFUSED | REFRAMED | BROKEN | UNREADABLE  # type: ignore[operator]
NAMES: Final = list(CASES)
VERSIONS: Final = (HTTP1, HTTP2)


def path_of(name: str, version: str) -> str:
    return f"/{NAMES.index(name)}/{VERSIONS.index(version)}"


def respond(request: Request) -> Response:
    number = request.target.split("/")[1]
    return takeover(CASES[NAMES[int(number)]]) if number.isdigit() else Response(body=b"well\n")


@dataclass(frozen=True)
class Answer:
    """What a client got.

    Attributes:
        status: None where there was no answer.
        fields: names in lower case.
        body: what came of it, freed from chunks.
        whole: whether the client must take the answer for whole.
    """

    status: int | None
    fields: tuple[tuple[str, str], ...]
    body: bytes
    whole: bool


@dataclass(frozen=True)
class Got:
    """What a client got, and what access log and audit log say of it."""

    answer: Answer
    line: dict[str, Any]
    events: list[dict[str, Any]]


def read(raw: bytes) -> Answer:
    """Read an HTTP/1.1 answer whose connection has ended, strictly: not a byte more than its framing says."""
    if not raw:
        return Answer(None, (), b"", whole=False)
    status, fields, body = status_of(raw), fields_of(raw), raw.partition(b"\r\n\r\n")[2]
    named = dict(fields)
    if "transfer-encoding" not in named:
        length = int(named["content-length"])
        assert len(body) <= length, "bytes behind the answer"
        return Answer(status, fields, body, whole=len(body) == length)
    assert named["transfer-encoding"] == "chunked"
    assert "content-length" not in named
    content = b""
    while found := re.match(rb"([0-9a-f]+)\r\n", body):
        size = int(found[1], 16)
        chunk, body = body[found.end() :][:size], body[found.end() + size + 2 :]
        content += chunk
        if size == 0:
            assert body == b"", "bytes behind the answer"
            return Answer(status, fields, content, whole=True)
    return Answer(status, fields, content, whole=False)


def fetch1(port: int, context: ssl.SSLContext, path: str) -> Answer:
    # Two answers can't come: this waits for the connection's end.
    data = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    return read(exchange(port, data, tls=context, responses=2))


def fetch2(port: int, context: ssl.SSLContext, path: str) -> Answer:
    """Fetch over HTTP/2, and then something else over the same connection, which must be unharmed."""
    with Connection(port, context) as connection:
        got = connection.exchange(request(path))
        after = connection.exchange(request("/after"))
        assert (after.status, after.body) == (200, b"well\n")
    return Answer(got.status, tuple(got.lines), got.body, got.whole)


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend(respond) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    rules = policy(backend)
    rules["upstreams"]["data"]["max_fails"] = 1000
    with Gateway(rules) as running:
        running.expect_error(
            r"upstream (prematurely closed|sent (no valid|invalid|too big))|Connection reset"
        )
        yield running


@pytest.fixture(scope="module")
def got(gateway: Gateway, bounds: Bounds) -> dict[str, Got]:
    """Every answer over both versions; the logs are waited for once."""
    port = port_of(gateway)
    answers = {}
    for _ in range(bounds.rounds):
        for name in NAMES:
            answers[path_of(name, HTTP1)] = fetch1(port, gateway.context(), path_of(name, HTTP1))
            answers[path_of(name, HTTP2)] = fetch2(port, gateway.context(), path_of(name, HTTP2))
    sent = len(answers) * bounds.rounds

    def logged() -> bool:
        return sum(line["path"] in answers for line in gateway.access()) == sent

    wait_for(logged)
    lines = {line["path"]: line for line in gateway.access()}
    audit = gateway.audit()
    return {
        path: Got(
            answer,
            lines[path],
            [event for event in audit if event["request_id"] == lines[path]["request_id"]],
        )
        for path, answer in answers.items()
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_answer_is_502(got: dict[str, Got], name: str, version: str) -> None:
    """Expected: 502 as problem+json with nothing of the garbage in it, one `failed` event."""
    case = got[path_of(name, version)]
    answer = case.answer
    assert (answer.status, answer.whole) == (502, True)
    (event,) = case.events
    problem = json.loads(answer.body)
    assert set(problem) <= MEMBERS
    assert problem["request_id"] == event["request_id"]
    assert problem["code"] == event["code"] == case.line["verdict"] == "upstream_unavailable"
    assert (event["decision"], event["guard"], event["status"]) == ("failed", "upstream", 502)
    assert event["reason"]
    assert case.line["status"] == 502
    fields = dict(answer.fields)
    assert len(fields) == len(answer.fields), answer.fields
    for field, pattern in ALWAYS.items():
        assert re.fullmatch(pattern, fields[field]), f"{field}: {fields[field]}"
    assert "x-a" not in fields


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", REFRAMED)
def test_what_nginx_can_read_is_one_answer(got: dict[str, Got], name: str, version: str) -> None:
    """Expected: the answer as nginx reads it, with one framing, which is nginx's own."""
    case = got[path_of(name, version)]
    assert (case.answer.status, case.answer.body, case.answer.whole) == (200, b"hi", True)
    assert case.events == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", BROKEN | UNREADABLE)  # type: ignore[operator]
def test_what_breaks_off_is_seen_to(got: dict[str, Got], name: str, version: str) -> None:
    """Expected: the client can tell that the answer is not whole; a `failed` event where nginx can tell."""
    case = got[path_of(name, version)]
    assert case.answer.status in {200, None}
    assert b"hi".startswith(case.answer.body)
    assert not case.answer.whole
    if name in BROKEN:
        (event,) = case.events
        assert (event["decision"], event["guard"], event["code"]) == (
            "failed",
            "upstream",
            "upstream_cut_off",
        )


def test_the_error_log_tells_of_chunks_that_can_not_be_read(gateway: Gateway, got: dict[str, Got]) -> None:
    assert got
    assert "upstream sent invalid chunked response" in gateway.stderr()


def test_the_gateway_serves_on(
    gateway: Gateway, got: dict[str, Got], bounds: Bounds, figures: Figures
) -> None:
    """Expected: no worker ended, every other request was answered, and all failures are counted."""
    figures["kinds_of_garbage"] = len(NAMES)
    figures["sent"] = len(got) * bounds.rounds
    figures["refused_with_502"] = sum(case.answer.status == 502 for case in got.values()) * bounds.rounds
    figures["not_whole"] = sum(not case.answer.whole for case in got.values()) * bounds.rounds
    assert "exited" not in gateway.stderr()
    with gateway.client(http2=True) as client:
        assert client.get("/after").text == "well\n"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_502_for_no_http_is_as_every_other(gateway: Gateway, method: str, version: str) -> None:
    """It is of HTTP/0.9 to nginx by then; its answer has a head all the same, and the connection ends."""
    path = path_of("text", HTTP1)
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", "Content-Length: 0", "", ""]
    raw = exchange(
        port_of(gateway), "\r\n".join(lines).encode() * 2, tls=gateway.context(), responses=3,
        head_only=method == "HEAD",
    )  # fmt: skip
    answer = read(raw)
    fields = dict(answer.fields)
    assert answer.status == 502
    assert fields["content-type"] == "application/problem+json"
    assert fields["connection"] == "close"
    assert "date" in fields
    assert (answer.body == b"") == (method == "HEAD")
    assert answer.whole == (method != "HEAD")
