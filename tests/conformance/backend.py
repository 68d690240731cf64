"""The service behind the engine under test: 200 to every path and method, and what is asked for on /reflect.

It is what the suites' own backend (coreruleset/albedo) does. It takes whatever a proxy forwards, such as
methods and header names that no HTTP library would.
"""

import asyncio
import base64
import binascii
import json
import re
from types import TracebackType
from typing import Final, Self

_LENGTH: Final = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*(\d+)")
_LARGEST_HEAD: Final = 1 << 20


class Backend:
    """A running service, in the loop of whoever starts it.

    Attributes:
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self) -> None:
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_LARGEST_HEAD)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                writer.write(answer(head, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()


def answer(head: bytes, body: bytes) -> bytes:
    """Return the answer to a request."""
    method, _, target = head.split(b"\r\n", 1)[0].rpartition(b" ")[0].partition(b" ")
    if method == b"POST" and re.match(rb"/reflect/?(?:\?|$)", target):
        return _reflect(body)
    return _written(200, {}, b"", with_body=method != b"HEAD")


def _reflect(body: bytes) -> bytes:
    try:
        wanted = json.loads(body)
        status = int(wanted.get("status") or 200)
        headers = {str(name): str(value) for name, value in (wanted.get("headers") or {}).items()}
        content = str(wanted.get("body") or "").encode()
        content = content or base64.b64decode(wanted.get("encodedBody") or "", validate=True)
    except (ValueError, TypeError, AttributeError, binascii.Error):
        return _written(400, {}, b"Invalid JSON in request body")
    if not 200 <= status <= 599:
        return _written(400, {}, b"Invalid status code")
    return _written(status, headers, content)


def _written(status: int, headers: dict[str, str], body: bytes, *, with_body: bool = True) -> bytes:
    if status in {204, 304}:
        body = b""
    lines = [f"HTTP/1.1 {status} Reflected", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if _is_field(name, value)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + (body if with_body else b"")


def _is_field(name: str, value: str) -> bool:
    plain = re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) and not re.search(r"[\r\n\0]", value)
    return bool(plain) and name.lower() not in {"content-length", "transfer-encoding", "connection"}
