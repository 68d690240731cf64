"""A relay between a gateway and its service that keeps every byte the gateway sent."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

_PATIENCE: Final = 30.0


@dataclass
class Passed:
    """A connection through the relay.

    Attributes:
        port: by which the service knows it.
        sent: what the gateway sent on it so far.
    """

    port: int
    sent: bytearray = field(default_factory=bytearray)


class Relay:
    """A running relay; use it in a `with`.

    Attributes:
        connections: all that ever were, in their order.
    """

    def __init__(self, port: int) -> None:
        """Listen.

        Args:
            port: of the service, on loopback.
        """
        self._service = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.connections: list[Passed] = []
        self._ending, self._end = socket.socketpair()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        """For `servers` in a policy."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.close()  # every thread sees its other end become readable
        for thread in self._threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive()
        self._listener.close()
        self._ending.close()

    def _start(self, run: object, *arguments: socket.socket) -> None:
        assert callable(run)
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._ending, selectors.EVENT_READ)
            while all(key.fileobj is not self._ending for key, _ in selector.select()):
                self._start(self._carry, self._listener.accept()[0])

    def _carry(self, gateway: socket.socket) -> None:
        with gateway, socket.create_connection(("127.0.0.1", self._service)) as service:
            for side in (gateway, service):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            passed = Passed(service.getsockname()[1])
            self.connections.append(passed)
            with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
                selector.register(gateway, selectors.EVENT_READ, (service, passed.sent))
                selector.register(service, selectors.EVENT_READ, (gateway, bytearray()))
                selector.register(self._ending, selectors.EVENT_READ)
                self._pump(selector)

    def _pump(self, selector: selectors.BaseSelector) -> None:
        open_ways = 2
        while open_ways:
            for key, _ in selector.select():
                if key.fileobj is self._ending:
                    return
                source: socket.socket = key.fileobj  # type: ignore[assignment]
                sink, kept = key.data
                if data := source.recv(65536):
                    kept += data
                    sink.sendall(data)
                else:
                    selector.unregister(source)
                    sink.shutdown(socket.SHUT_WR)
                    open_ways -= 1
