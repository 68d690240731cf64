"""HTTP/2 with any header fields that one likes to send, several streams at a time."""

import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset

Fields = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """What came on a stream.

    Attributes:
        status: 0 where the stream was reset without one.
        fields: the header fields of the answer.
        body: what came of the body.
        reset: the error code of a reset; None where there was none.
    """

    status: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    reset: int | None = None
    whole: bool = False

    def all(self, name: str) -> list[str]:
        """Return every value of a field."""
        return [value for key, value in self.fields if key == name.lower()]


class Http2:
    """A connection; use it in a `with`."""

    def __init__(self, port: int, context: ssl.SSLContext, *, seconds: float = 20) -> None:
        """Connect, and insist on HTTP/2 in the handshake."""
        context.set_alpn_protocols(["h2"])
        self._authority = f"localhost:{port}"
        self._socket = context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), timeout=seconds), server_hostname="localhost"
        )
        assert self._socket.selected_alpn_protocol() == "h2"
        # What is sent is up to the test, bad as it may be.
        self._http = H2Connection(
            H2Configuration(
                validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="latin-1"
            )
        )
        self._http.initiate_connection()
        self._answers: dict[int, Answer] = {}
        self._closed = False

    def send(
        self,
        path: str,
        fields: Fields = (),
        *,
        method: str = "GET",
        body: bytes | None = None,
        authority: str | None = None,
        end: bool = True,
    ) -> int:
        """Send a request and return its stream.

        Args:
            path: the target.
            fields: further header fields, sent as they are.
            method: the method.
            body: sent without a Content-Length; at most what one window takes.
            authority: of `:authority`; None for the connection's own.
            end: whether the request ends here.
        """
        stream = self._http.get_next_available_stream_id()
        pseudo = [
            (":method", method), (":scheme", "https"), (":authority", authority or self._authority),
            (":path", path),
        ]  # fmt: skip
        self._answers[stream] = Answer()
        head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in [*pseudo, *fields]]
        self._http.send_headers(stream, head, end_stream=end and body is None)
        if body is not None:
            for start in range(0, max(len(body), 1), 16384):
                part = body[start : start + 16384]
                self._http.send_data(stream, part, end_stream=end and start + 16384 >= len(body))
        self._socket.sendall(self._http.data_to_send())
        return stream

    def reset(self, stream: int) -> None:
        """Abort a stream."""
        self._http.reset_stream(stream)
        self._socket.sendall(self._http.data_to_send())

    def answer(self, stream: int) -> Answer:
        """Wait for what comes on a stream; its end, a reset or the connection's end."""
        answer = self._answers[stream]
        while not (answer.whole or answer.reset is not None or self._closed):
            data = self._socket.recv(65536)
            self._closed = not data
            self._take(self._http.receive_data(data) if data else [])
            self._socket.sendall(self._http.data_to_send())
        return answer

    def request(self, path: str, fields: Fields = (), **more: object) -> Answer:
        """Send a request and wait for its answer; see `send`."""
        return self.answer(self.send(path, fields, **more))  # type: ignore[arg-type]  # as send takes them

    def close(self) -> None:
        """Close the connection, whatever is under way on it."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, ConnectionTerminated):
                self._closed = True
            stream = getattr(event, "stream_id", None)
            if stream not in self._answers:
                continue
            answer = self._answers[stream]
            if isinstance(event, ResponseReceived):
                fields = [(_text(name), _text(value)) for name, value in event.headers or ()]
                answer.fields = [(name, value) for name, value in fields if not name.startswith(":")]
                answer.status = int(dict(fields)[":status"])
            elif isinstance(event, DataReceived):
                answer.body += event.data or b""
                self._http.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, StreamEnded):
                answer.whole = True
            elif isinstance(event, StreamReset):
                answer.reset = int(event.error_code or 0)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
