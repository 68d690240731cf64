"""An HTTP/1 connection of a client that sends whatever it likes, and reads answer by answer."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from dataclasses import dataclass
from typing import Self

from tests.support.raw import first_response, status_of
from tests.support.wire import fields_of


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        status: such as 200; an interim one (1xx) is an answer too.
        fields: names in small letters; none for the answer to HTTP/0.9.
        body: the whole body.
    """

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def request_id(self) -> str:
        """What the gateway has named the request."""
        ids = [value for name, value in self.fields if name == "x-request-id"]
        assert len(ids) == 1, self
        return ids[0]

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends with it."""
        return not self.fields or ("connection", "close") in self.fields


class Talk:
    """A connection; use it in a `with`."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, *, seconds: float = 10) -> None:
        """Connect.

        Args:
            port: of a listener, on loopback.
            tls: a context for TLS; None for none.
            seconds: how long to wait for what is to come; TimeoutError is raised then.
        """
        plain = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        self._received = b""
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes, *, in_pieces: bool = False) -> None:
        """Send bytes, at once or a few at a time, or as many as the gateway takes before it closes."""
        size = max(7, len(data) // 100) if in_pieces else max(1, len(data))
        with contextlib.suppress(ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            for at in range(0, len(data), size):
                self._socket.sendall(data[at : at + size])

    def end(self) -> None:
        """Tell the gateway that no more is to come."""
        # An SSLSocket can't be shut down one way.
        with socket.socket(fileno=os.dup(self._socket.fileno())) as plain, contextlib.suppress(OSError):
            plain.shutdown(socket.SHUT_WR)

    def patience(self, seconds: float) -> None:
        """Wait so long from now on."""
        self._socket.settimeout(seconds)

    def answer(self, *, head: bool = False) -> Answer | None:
        """Return the next answer; None where the connection ends before.

        Args:
            head: whether it is one to HEAD.
        """
        while (first := first_response(self._received, head_only=head)) is None:
            if not self._receive():
                return None
        self._received = self._received[len(first) :]
        return Answer(status_of(first), fields_of(first), first.partition(b"\r\n\r\n")[2])

    def rest(self) -> bytes:
        """Return what comes until the connection ends."""
        while self._receive():
            pass
        rest, self._received = self._received, b""
        return rest

    def _receive(self) -> bool:
        if self._ended:
            return False
        try:
            data = self._socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            data = b""
        self._received += data
        self._ended = not data
        return not self._ended
