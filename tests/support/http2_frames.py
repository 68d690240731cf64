"""HTTP/2 frame by frame, in an order and with flags that no library would send."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)

from tests.support.http2 import request

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass
class Stream:
    """What came back on a stream.

    Attributes:
        fields: of the response's header; none as long as there is none.
        body: of the response.
        whole: whether it ended.
        reset: the error code of a reset; None for none.
    """

    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = False
    reset: int | None = None

    @property
    def status(self) -> int | None:
        """The response's status; None for no response."""
        return int(dict(self.fields)[":status"]) if self.fields else None

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return self.whole or self.reset is not None


class FrameConnection:
    """A connection to a TLS listener; use it in a `with`.

    Attributes:
        streams: what came back, by the stream's number.
        ended: whether the peer has ended the connection (GOAWAY, or the end of the bytes).
    """

    def __init__(self, port: int, tls: ssl.SSLContext, seconds: float = 20) -> None:
        tls.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._socket = tls.wrap_socket(plain, server_hostname="localhost")
        self._encoder, self._decoder = Encoder(), Decoder()
        self._received = b""
        self.streams: dict[int, Stream] = {}
        self.ended = False
        self.send(PREFACE + SettingsFrame(0).serialize())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self.ended = True

    def send_frames(self, frames: Sequence[Mapping[str, Any]]) -> None:
        """Send frames as a file of cases has them, the last one with END_STREAM unless it says `end: false`.

        A frame is `{data: TEXT, pad: N}`, `{reset: CODE}`, or the fields of a HEADERS frame: those of a GET
        of https://localhost/a where `set` replaces some, `without` leaves some out and `add` appends some; or
        `fields`, which are all. `split: N` has them go on in CONTINUATION frames after N bytes each, `open:
        true` leaves END_HEADERS out. Each has `stream: N` (1), and `end: true` for END_STREAM.
        """
        for number, frame in enumerate(frames, 1):
            end = frame.get("end", number == len(frames))
            self.send(b"".join(part.serialize() for part in self._frames(frame, end=end)))

    def _frames(self, frame: Mapping[str, Any], *, end: bool) -> Iterator[Frame]:
        stream = frame.get("stream", 1)
        if "data" in frame:
            self.streams.setdefault(stream, Stream())
            data = DataFrame(stream, frame["data"].encode("latin-1"))
            data.flags |= {"END_STREAM"} if end else set()
            if "pad" in frame:
                data.flags.add("PADDED")
                data.pad_length = frame["pad"]
            yield data
            return
        if "reset" in frame:
            self.streams[stream].reset = frame["reset"]
            yield RstStreamFrame(stream, error_code=frame["reset"])
            return
        self.streams.setdefault(stream, Stream())
        block = self._encoder.encode(fields_of_frame(frame), huffman=False)
        size = frame.get("split", len(block))
        parts = [block[at : at + size] for at in range(0, len(block), size)]
        headers: list[Frame] = [HeadersFrame(stream, parts[0])]
        headers[0].flags |= {"END_STREAM"} if end else set()
        headers += [ContinuationFrame(stream, part) for part in parts[1:]]
        if not frame.get("open"):
            headers[-1].flags.add("END_HEADERS")
        yield from headers

    def await_streams(self) -> None:
        """Wait until nothing more is to come on any stream, or on the connection."""
        while not self.ended and not all(stream.over for stream in self.streams.values()):
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            data = b""
        if not data:
            self.ended = True
            return
        self._received += data
        while len(self._received) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._received[:9]))
            if len(self._received) < 9 + length:
                break
            frame.parse_body(memoryview(self._received[9 : 9 + length]))
            self._received = self._received[9 + length :]
            self._note(frame)

    def _note(self, frame: Frame) -> None:
        if isinstance(frame, GoAwayFrame):
            self.ended = True
        elif isinstance(frame, SettingsFrame):
            if "ACK" not in frame.flags:
                self.send(SettingsFrame(0, flags=["ACK"]).serialize())
        elif isinstance(frame, RstStreamFrame):
            self.streams[frame.stream_id].reset = frame.error_code
        elif isinstance(frame, HeadersFrame):
            assert "END_HEADERS" in frame.flags, "no answer here is as long as that"
            answered = self.streams[frame.stream_id]
            decoded = self._decoder.decode(frame.data, raw=True)
            answered.fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in decoded]
            answered.whole = "END_STREAM" in frame.flags
        elif isinstance(frame, DataFrame):
            answered = self.streams[frame.stream_id]
            answered.body += frame.data
            answered.whole = "END_STREAM" in frame.flags


def fields_of_frame(frame: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Return the fields of a HEADERS frame of a case."""
    if "fields" in frame:
        fields = frame["fields"]
    else:
        pseudo = {name.decode(): value.decode() for name, value in request("/a")} | frame.get("set", {})
        for name in frame.get("without", []):
            del pseudo[name]
        fields = [*pseudo.items(), *frame.get("add", [])]
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
