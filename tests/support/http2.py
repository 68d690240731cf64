"""HTTP/2 as no library's client would speak it: header fields go out as they are, whatever is in them."""

from __future__ import annotations

import socket
import ssl
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from hpack import Encoder

Fields = Iterable[tuple[bytes, bytes]]


@dataclass
class Answer:
    """What came back on a stream so far.

    Attributes:
        status: of the response; None if none came.
        fields: the response's header fields.
        lines: the same, every one that came, in their order.
        body: what came of the body.
        whole: whether the response ended as responses do.
        reset: the error code of a stream that was reset; None otherwise.
    """

    status: int | None = None
    fields: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = False
    reset: int | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return self.whole or self.reset is not None


def request(path: str = "/", method: str = "GET", authority: str = "localhost") -> list[tuple[bytes, bytes]]:
    """Return the pseudo-header fields of a request."""
    return [
        (b":method", method.encode()),
        (b":scheme", b"https"),
        (b":authority", authority.encode()),
        (b":path", path.encode("latin-1")),
    ]


class _PlainEncoder(Encoder):
    """Huffman codes would take this library minutes for a field of a megabyte."""

    def encode(self, headers: Any, huffman: bool = False) -> bytes:  # noqa: ARG002
        return super().encode(headers, huffman=False)


class Connection:
    """One HTTP/2 connection to a TLS listener; use it in a `with`.

    Attributes:
        ended: whether the peer has ended the connection (GOAWAY, or the end of the bytes).
    """

    def __init__(self, port: int, tls: ssl.SSLContext, seconds: float = 20) -> None:
        """Connect.

        Args:
            port: of the listener, on loopback.
            tls: a context that trusts it; ALPN is set on it.
            seconds: how long to wait for what is to come.
        """
        tls.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._socket = tls.wrap_socket(plain, server_hostname="localhost")
        assert self._socket.selected_alpn_protocol() == "h2"
        self._h2 = H2Connection(
            H2Configuration(
                header_encoding="latin-1",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                split_outbound_cookies=False,
            )
        )
        self._h2.encoder = _PlainEncoder()
        self._answers: defaultdict[int, Answer] = defaultdict(Answer)
        self.ended = False
        self._h2.initiate_connection()
        self._flush()

    def send(self, fields: Fields, *, end: bool = True) -> int:
        """Send header fields on a new stream and return its number.

        Args:
            fields: as they are to go out, pseudo-header fields first.
            end: whether no body follows.
        """
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, list(fields), end_stream=end)
        self._flush()
        return stream

    def send_body(self, stream: int, data: bytes, *, end: bool = True) -> None:
        """Send a body, or as much of it as the peer takes before it answers."""
        answer = self._answers[stream]
        while not answer.over and not self.ended:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if data and not room:
                self._receive()
                continue
            chunk, data = data[:room], data[room:]
            self._h2.send_data(stream, chunk, end_stream=end and not data)
            self._flush()
            if not data:
                break

    def await_answer(self, stream: int) -> Answer:
        """Return what came back, once nothing more is to come on the stream or on the connection."""
        answer = self._answers[stream]
        while not answer.over and not self.ended:
            self._receive()
        return answer

    def await_body(self, stream: int, end: bytes) -> Answer:
        """Return what came back, once its body ends in something."""
        answer = self._answers[stream]
        while not answer.body.endswith(end) and not answer.over and not self.ended:
            self._receive()
        return answer

    def exchange(self, fields: Fields, body: bytes | None = None) -> Answer:
        """Send a request, with a body if there is one, and return the answer."""
        stream = self.send(fields, end=body is None)
        if body is not None:
            self.send_body(stream, body)
        return self.await_answer(stream)

    def close(self) -> None:
        """Drop the connection, whatever is under way on it."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self) -> None:
        try:
            self._socket.sendall(self._h2.data_to_send())
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self.ended = True

    def _receive(self) -> None:
        try:
            data = self._socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            data = b""
        if not data:
            self.ended = True
            return
        for event in self._h2.receive_data(data):
            self._note(event)
        self._flush()

    def _note(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            answer = self._answers[event.stream_id]
            answer.lines = [(str(name), str(value)) for name, value in event.headers]
            answer.fields = dict(answer.lines)
            answer.status = int(answer.fields[":status"])
        elif isinstance(event, DataReceived):
            self._answers[event.stream_id].body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self._answers[event.stream_id].whole = True
        elif isinstance(event, StreamReset):
            self._answers[event.stream_id].reset = int(event.error_code)
        elif isinstance(event, ConnectionTerminated):
            self.ended = True
