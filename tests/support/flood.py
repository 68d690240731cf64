"""Requests as fast as a gateway takes them: pipelined over many connections, from one process."""

import selectors
import socket
import time
from contextlib import ExitStack


def flood(
    port: int, path: str, *, seconds: float, connections: int = 64, batch: int = 4, lossy: bool = False
) -> int:
    """Send GET requests to a plain HTTP listener on 127.0.0.1 for so long.

    Every connection always has a batch of requests under way. In the end all are closed, whatever is under
    way on them.

    Args:
        port: where to.
        path: what to ask for.
        seconds: how long.
        connections: how many connections.
        batch: how many requests are under way on each.
        lossy: open another connection for one that the gateway closes, instead of failing.

    Returns:
        How many answers came.
    """
    requests = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * batch
    answers = 0
    with selectors.DefaultSelector() as selector, ExitStack() as stack:

        def connect() -> None:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(requests)
            selector.register(connection, selectors.EVENT_READ, _Pending(connection, batch))

        for _ in range(connections):
            connect()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for key, _ in selector.select(1):
                pending: _Pending = key.data
                try:
                    answers += pending.read()
                    if pending.left == 0:
                        pending.left = batch
                        pending.connection.sendall(requests)
                except ConnectionError:
                    if not lossy:
                        raise
                    selector.unregister(pending.connection)
                    connect()
    return answers


class _Pending:
    """A connection, and how many answers are still to come on it."""

    _START = b"HTTP/1.1 "

    def __init__(self, connection: socket.socket, left: int) -> None:
        self.connection = connection
        self.left = left
        self._tail = b""

    def read(self) -> int:
        """Read what is there, and return how many answers began in it."""
        data = self.connection.recv(262144)
        if not data:
            raise ConnectionError("the gateway closed a connection within a flood")
        data = self._tail + data
        # An answer's start may be cut in two by the end of what was read.
        self._tail = data[-len(self._START) + 1 :]
        count = data.count(self._START)
        self.left -= count
        return count
