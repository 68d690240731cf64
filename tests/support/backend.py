"""A small HTTP/1.1 service to put behind a gateway: it records what reaches it, and answers as it is told."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_port


@dataclass(frozen=True)
class Request:
    """A request as it reached the service.

    Attributes:
        method: such as `GET`.
        target: the raw request target.
        headers: names and values as they were sent, in their order.
        body: the whole body.
        connection: tells one connection from another.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        """Return the only value of a header, or None; fail if there are several."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(frozen=True)
class Response:
    """An answer.

    Attributes:
        status: such as 200.
        headers: without Content-Length, Transfer-Encoding and Connection, which follow from the body.
        body: bytes, or an iterable that is sent chunk by chunk as it comes.
        takeover: is given the bare connection instead of all this (a WebSocket, a broken answer).
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain"),)
    body: bytes | Iterable[bytes] = b"ok\n"
    takeover: Callable[[socket.socket], None] | None = None


Respond = Callable[[Request], Response]


def takeover(*parts: bytes, then: Callable[[socket.socket], None] | None = None) -> Response:
    """Return an answer of bytes as they are; the connection closes behind them, once `then` has returned."""

    def send(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        if then is not None:
            then(connection)

    return Response(takeover=send)


@dataclass
class _Books:
    """What is counted, under one lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: list[Request] = field(default_factory=list)
    now: int = 0
    most: int = 0


class Backend:
    """A running service.

    Attributes:
        respond: answers each request; may be replaced at any time.
    """

    def __init__(self, respond: Respond | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.respond: Respond = respond or (lambda _request: Response())
        self._books = _Books()
        self._tls = tls
        self.port = free_port()
        self._server = _server(self, self.port, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        """The service's URL, for `servers` in a policy."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """What came so far, oldest first."""
        with self._books.lock:
            return list(self._books.requests)

    @property
    def most_at_once(self) -> int:
        """The highest number of requests that were being answered at the same time."""
        with self._books.lock:
            return self._books.most

    def forget(self) -> None:
        """Forget what came so far."""
        with self._books.lock:
            self._books.requests.clear()
            self._books.most = self._books.now

    def answer(self, request: Request) -> Response:
        """Record a request and decide on its answer."""
        with self._books.lock:
            self._books.requests.append(request)
            self._books.now += 1
            self._books.most = max(self._books.most, self._books.now)
        return self.respond(request)

    def done(self) -> None:
        """Note that an answer was given in full, or failed."""
        with self._books.lock:
            self._books.now -= 1

    def stop(self) -> None:
        """Stop listening and drop all connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A gateway may close whenever it likes; that is no event here."""


def _server(backend: Backend, port: int, tls: ssl.SSLContext | None) -> _Server:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = Request(
                method=self.command,
                target=self.path,
                headers=tuple((str(name), str(value)) for name, value in self.headers.raw_items()),
                body=self.rfile.read(length),
                connection=id(self.connection),
            )
            response = backend.answer(request)
            try:
                self._send(response)
            finally:
                backend.done()

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any  # noqa: N815

        def _send(self, response: Response) -> None:
            if response.takeover is not None:
                self.close_connection = True
                response.takeover(self.connection)
                return
            self.send_response(response.status)
            for name, value in response.headers:
                self.send_header(name, value)
            if isinstance(response.body, bytes):
                self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(response.body)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in response.body:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: Any) -> None:
            """Silence: what came is in `requests`."""

    server = _Server(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server
