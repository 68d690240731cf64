"""Two readers of HTTP/1.1 requests that know nothing of each other: what they read alike has one meaning.

One is h11. The other is strict: it takes what RFC 9112 has senders generate, and nothing of what it lets
recipients forgive (bare LF, spaces before a colon, folded lines, a body with two lengths).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import h11

_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[!-~]*) HTTP/1\.1")
_FIELD: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
_SEPARATORS: Final = bytes.maketrans(b"_.", b"--")
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]*")


class Request(NamedTuple):
    """A request as a reader has it; names of fields are in small letters."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def all(self, name: bytes) -> list[bytes]:
        """Return every value of a field."""
        return [value for key, value in self.fields if key == name]

    @property
    def text(self) -> str:
        """Method and target."""
        return f"{self.method.decode()} {self.target.decode()}"

    @property
    def upgrades(self) -> bool:
        """Whether what follows it may be no HTTP any more."""
        return self.all(b"upgrade") == [b"websocket"]


class NotStrictError(ValueError):
    """Something that no sender may generate; the message shows it."""


def read_strictly(data: bytes) -> tuple[list[Request], bytes]:
    """Return the requests in a connection's bytes, and what follows one that asks for another protocol."""
    requests = []
    while data:
        request, data = _read_one(data)
        requests.append(request)
        if request.upgrades:
            break
    return requests, data


def _read_one(data: bytes) -> tuple[Request, bytes]:
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        raise NotStrictError(f"a head without an end: {data!r}")
    line, *lines = head.split(b"\r\n")
    begin = _REQUEST_LINE.fullmatch(line)
    if begin is None:
        raise NotStrictError(f"no request line: {line!r}")
    fields = []
    for text in lines:
        found = _FIELD.fullmatch(text)
        if found is None:
            raise NotStrictError(f"no field: {text!r}")
        fields.append((found[1].lower(), found[2]))
    length = _length(fields)
    if len(rest) < length:
        raise NotStrictError(f"a body of {len(rest)} bytes, not {length}, after {head!r}")
    return Request(begin[1], begin[2], tuple(fields), rest[:length]), rest[length:]


def _length(fields: list[tuple[bytes, bytes]]) -> int:
    names = [name for name, _ in fields]
    for name in (b"host", b"content-length"):
        if names.count(name) > 1:
            raise NotStrictError(f"two of {name!r}: {fields}")
    if b"host" not in names:
        raise NotStrictError(f"no Host: {fields}")
    for name in (b"transfer-encoding", b"te", b"trailer", b"expect", b"keep-alive", b"http2-settings"):
        if name in names:
            raise NotStrictError(f"{name!r}, where bodies are sent whole: {fields}")
    for name in names:
        folded = name.translate(_SEPARATORS)
        if folded != name and folded in {b"transfer-encoding", b"content-length"}:
            raise NotStrictError(f"a field that some take for one of framing: {fields}")
    values = [value for name, value in fields if name == b"content-length"]
    if not values:
        return 0
    if _LENGTH.fullmatch(values[0]) is None:
        raise NotStrictError(f"a Content-Length of {values[0]!r}")
    return int(values[0])


def read_with_h11(data: bytes) -> tuple[list[Request], bytes]:
    """Do as `read_strictly` does, as h11 reads it; raise h11.RemoteProtocolError where h11 refuses."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=128 * 1024)
    connection.receive_data(data)
    return list(_requests_of(connection)), connection.trailing_data[0]


def read_by_h11_until_it_refuses(data: bytes) -> list[Request]:
    """Return the requests that h11 reads before the first that it does not take, or that is not whole."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=128 * 1024)
    connection.receive_data(data)
    requests: list[Request] = []
    with contextlib.suppress(h11.RemoteProtocolError):
        requests.extend(_requests_of(connection))
    return requests


def _requests_of(connection: h11.Connection) -> Iterator[Request]:
    while connection.trailing_data[0]:
        begin = connection.next_event()
        if begin is h11.NEED_DATA:
            return
        assert isinstance(begin, h11.Request), begin
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
        if event is h11.NEED_DATA:
            return
        assert isinstance(event, h11.EndOfMessage), event
        request = Request(begin.method, begin.target, tuple(begin.headers), body)
        yield request
        if request.upgrades:
            return
        connection.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
        connection.send(h11.EndOfMessage())
        if connection.states[h11.CLIENT] is not h11.DONE:
            return  # the client has said that it sends no more
        connection.start_next_cycle()
