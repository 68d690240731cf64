"""Many connections at once that a test holds on to, from one address."""

import resource
import select
import socket
import ssl
import time
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

# Beside the crowd: files of the test itself, of its service, of what runs in the same process.
_SPARE: Final = 1000
_PATIENCE: Final = 60.0


class Crowd:
    """Open connections to a listener on 127.0.0.1; those that the gateway ends are counted.

    Attributes:
        size: how many there were in the beginning.
    """

    def __init__(
        self,
        port: int,
        size: int,
        *,
        source: str,
        first: bytes = b"",
        tls: ssl.SSLContext | None = None,
        window: int | None = None,
    ) -> None:
        """Connect all.

        Args:
            port: where to.
            size: how many.
            source: the address that they come from, such as 127.0.0.5; a limit by address counts it alone.
            first: what each sends as soon as it is connected.
            tls: a context for TLS; None for none.
            window: bytes that the system receives ahead of a client; None for as many as usual.
        """
        self.size = size
        self._open: list[socket.socket] = []
        _allow_files(size + _SPARE)
        try:
            for _ in range(size):
                self._open.append(connection := self._connect(port, source, tls, window))
                with suppress(OSError):  # it may be ended already; `still_open` tells
                    connection.sendall(first)
        except BaseException:
            self.leave()
            raise

    def _connect(
        self, port: int, source: str, tls: ssl.SSLContext | None, window: int | None
    ) -> socket.socket:
        plain = socket.socket()
        try:
            if window is not None:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            plain.settimeout(_PATIENCE)
            plain.bind((source, 0))
            plain.connect(("127.0.0.1", port))
            return tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        except BaseException:
            plain.close()
            raise

    def send(self, data: bytes) -> None:
        """Send something on each that is still open; those that turn out to be ended don't count any more."""
        kept = []
        for connection in self._open:
            try:
                connection.sendall(data)
            except OSError:
                connection.close()
            else:
                kept.append(connection)
        self._open = kept

    def receive(self, size: int) -> int:
        """Read up to so many bytes on each, as much as is there, and return how much came altogether."""
        came = 0
        for connection in self._open:
            connection.settimeout(0)
            with suppress(OSError):
                came += len(connection.recv(size))
            connection.settimeout(_PATIENCE)
        return came

    def await_answers(self, end: bytes) -> int:
        """Read on each until what came ends in something, and return on how many it did."""
        answered = 0
        for connection in self._open:
            received = b""
            with suppress(OSError):
                while not received.endswith(end) and (chunk := connection.recv(65536)):
                    received += chunk
            answered += received.endswith(end)
        return answered

    def still_open(self) -> int:
        """Return how many the gateway has not ended; nothing is read."""
        by_file = {connection.fileno(): connection for connection in self._open}
        ends = select.poll()
        for file in by_file:
            ends.register(file, select.POLLRDHUP)
        for file, _ in ends.poll(0):
            by_file.pop(file).close()
        self._open = list(by_file.values())
        return len(self._open)

    def await_end(self, seconds: float) -> float:
        """Wait until the gateway has ended all, and return how many seconds that took.

        Raises:
            TimeoutError: some are still open after so many seconds.
        """
        begin = time.monotonic()
        while left := self.still_open():
            if time.monotonic() - begin > seconds:
                raise TimeoutError(f"{left} of {self.size} connections are open after {seconds} s")
            time.sleep(0.1)
        return time.monotonic() - begin

    def leave(self) -> None:
        """Close all."""
        for connection in self._open:
            connection.close()
        self._open = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


def _allow_files(count: int) -> None:
    """Let this process open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        assert hard == resource.RLIM_INFINITY or hard >= count, (
            f"a process may open {hard} files here (ulimit -Hn), and this test needs {count}"
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
