"""Framing tricks mixed at random: what the service reads is what h11 reads in the client's bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.desync import Grid
from tests.support.desync_house import house
from tests.support.raw import first_response, status_of
from tests.support.readers import read_by_h11_until_it_refuses, read_strictly, read_with_h11
from tests.support.relay import Relay
from tests.support.talk import Talk
from tests.support.wire import port_of

SMUGGLED: Final = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

# N is the number of the request, so that each can be told from the others.
LINES: Final = (
    *["POST /N HTTP/1.1"] * 6,
    *["GET /N HTTP/1.1", "PUT /N?a=b HTTP/1.1", "POST http://localhost/N HTTP/1.1", "POST /N HTTP/1.0"],
    *["POST /early/N HTTP/1.1", "POST /waits/N HTTP/1.1", "POST /closed/N HTTP/1.1"],
    *["POST /token/N HTTP/1.1", "POST /get-only/N HTTP/1.1"],
    *["POST  /N HTTP/1.1", "POST /N//x HTTP/1.1", "POST /N HTTP/1.1 ", "POST /N"],
)
HOSTS: Final = (
    *["Host: localhost"] * 20,
    *["Host: localhost\r\nHost: localhost", "Host: evil.example", "X-A: b"],
)
CHUNKS: Final = (
    *["0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", f"2b\r\n{SMUGGLED}\r\n0\r\n\r\n"],
    *[f"2b;a=b\r\n{SMUGGLED}\r\n0\r\nContent-Length: 5\r\n\r\n", f"05\r\nhello\r\n00\r\n\r\n{SMUGGLED}"],
    *["0x5\r\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhel"],
)
BODIES: Final = ("", "hello", SMUGGLED, f"0\r\n\r\n{SMUGGLED}", *CHUNKS)
# LENGTH is the body's.
FRAMED: Final = (
    ("Content-Length: LENGTH", BODIES),
    ("Transfer-Encoding: chunked", CHUNKS),
    ("X-A: b", BODIES),
)
FIELDS: Final = (
    *["Accept: */*", "Cookie: a=b", "User-Agent: c/1.0", "Expect: 100-continue"] * 4,
    *["Content-Length: 0", "Content-Length: 43", "Content-Length: +5", "Content-Length: 5, 5"],
    *["Content-Length : 5", "Content_Length: 5", "Content-Length:\r\n 5", "X-A: b\r\n\tContent-Length: 5"],
    *["Transfer-Encoding: chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: xchunked"],
    *["Transfer_Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\r\n chunked"],
    *["X-A: b\nTransfer-Encoding: chunked", "X-A: b\rContent-Length: 5", "Trailer: Content-Length"],
    *["TE: chunked", "Connection: close", "Connection: Content-Length"],
    *["Connection: keep-alive, X-A", "Upgrade: h2c\r\nConnection: Upgrade", f"X-A: {'a' * 1100}"],
)
LAST: Final = "GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return the bytes of some requests, not all of them well-formed, and of a last one that is."""
    text = ""
    for number in range(draw(st.integers(1, 3))):
        framing, bodies = draw(st.sampled_from(FRAMED))
        body = draw(st.sampled_from(bodies))
        fields = [draw(st.sampled_from(HOSTS)), framing, *draw(st.lists(st.sampled_from(FIELDS), max_size=2))]
        fields = draw(st.permutations(fields))
        head = "\r\n".join([draw(st.sampled_from(LINES)), *fields, "", ""])
        text += head.replace("/N", f"/{number}").replace("LENGTH", str(len(body))) + body
    return (text + LAST).encode("latin-1")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Grid, Relay]]:
    with house() as started:
        yield started


def converse(grid: Grid, data: bytes) -> bytes:
    """Send bytes and return all that comes back; where nothing comes in a moment, say that no more follow."""
    with Talk(port_of(grid.gateway, tls=False), seconds=0.5) as talk:
        talk.send(data)
        try:
            return talk.rest()
        except TimeoutError:
            talk.patience(30)
            talk.end()
            return talk.rest()


def answers_in(received: bytes) -> list[tuple[int, bytes]]:
    """Return statuses and bodies of all answers, the last of which may be one to HTTP/0.9."""
    found = []
    while received and not received.startswith(b"{"):
        first = first_response(received)
        assert first is not None, f"no answer: {received!r}"
        found.append((status_of(first), first.partition(b"\r\n\r\n")[2]))
        received = received[len(first) :]
    return [*found, (400, received)] if received else found


def test_what_is_forwarded_is_what_another_reader_reads(running: tuple[Grid, Relay]) -> None:
    grid, relay = running
    seen: Counter[str] = Counter()

    @settings(max_examples=400, derandomize=True, database=None, deadline=None)
    @given(requests())
    def mix(data: bytes) -> None:
        start = grid.begin()
        answers = answers_in(converse(grid, data))
        reads, faults = grid.settle(start)
        assert faults == [], data
        grid.known += [read.request_id for read in reads]
        seen.update(read.text for read in reads)
        seen.update(str(status) for status, _ in answers)
        seen["a smuggled one"] += any(SMUGGLED in read.body for read in reads)

        # What the service read is what h11 reads, in that order, but for what was refused.
        rest = iter(read_by_h11_until_it_refuses(data))
        for read in reads:
            same = next((one for one in rest if one.text.replace("http://localhost", "") == read.text), None)
            assert same is not None, f"only the gateway has read {read} in {data!r}"
            assert "/early/" in read.text or read.body == same.body.decode("latin-1"), (read, data)

        # Each answer is the one to a request that was read, or the gateway's own.
        own = {f"{read.text} {read.request_id}\n".encode() for read in reads}
        for status, body in answers:
            if status >= 400:
                assert json.loads(body)["status"] == status
            elif status >= 200:
                assert body in own, (body, data)
                own.remove(body)

    mix()
    assert seen["a smuggled one"] > 10
    assert seen["400"] > 50
    assert seen["200"] > 50
    assert seen["100"] > 3
    for reader in (read_strictly, read_with_h11):
        for read, read_by_the_service in grid.connections(relay, reader):
            assert read == read_by_the_service
    lines = grid.lines()
    ids = [read.request_id for read in grid.reads]
    assert len(set(ids)) == len(ids)
    forwarded = {request_id: line["status"] for request_id, line in lines.items() if line["upstream"]}
    assert set(ids) <= set(forwarded)
    # Only of a client that has gone may a request get lost on its way.
    assert {forwarded[request_id] for request_id in set(forwarded) - set(ids)} <= {499}
