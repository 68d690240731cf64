"""A service on hypercorn that tells what it has read of each request; `tests.support.service` starts it.

It answers "METHOD TARGET ID". A line of its log has all that it read of a request, written before it answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from hypercorn.asyncio import serve
from hypercorn.config import Config

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# Paths with a behaviour of their own; all others are answered once the whole body was read.
EARLY: Final = "/early"  # answered before the body is read, which then is not told of
OPEN: Final = "/ws/open"  # takes a WebSocket; elsewhere one is refused


def _tell(event: str, **members: Any) -> None:
    sys.stderr.write(json.dumps({"event": event, "level": "info", **members}) + "\n")
    sys.stderr.flush()


def _record(scope: Scope, body: bytes | None) -> bytes:
    """Tell of a request, and return what it is answered."""
    query: bytes = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    method = scope.get("method", "GET")
    _tell(
        "request",
        kind=scope["type"],
        method=method,
        target=target.decode("latin-1"),
        headers=headers,
        body=None if body is None else body.decode("latin-1"),
        peer=scope["client"][1],
    )
    ids = [value for name, value in headers if name.lower() == "x-request-id"]
    return f"{method} {target.decode('latin-1')} {','.join(ids)}\n".encode("latin-1")


async def _http(scope: Scope, receive: Receive, send: Send) -> None:
    body: bytes | None = None
    if not scope["path"].startswith(EARLY):
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                _tell("disconnected", target=scope["raw_path"].decode("latin-1"), peer=scope["client"][1])
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
    answer = _record(scope, body)
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def _websocket(scope: Scope, receive: Receive, send: Send) -> None:
    _record(scope, None)
    await receive()  # its "websocket.connect"
    if not scope["path"].startswith(OPEN):
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "http":
        await _http(scope, receive, send)
    elif scope["type"] == "websocket":
        await _websocket(scope, receive, send)
    else:  # lifespan: nothing to set up
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Python 3.11's streams ask the task of a connection that is cancelled at the end for an exception.
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


async def _run() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.loglevel = "WARNING"
    config.keep_alive_timeout = 75.0
    config.keep_alive_max_requests = 1_000_000
    config.h11_max_incomplete_size = 128 * 1024  # more than a gateway lets through
    config.h11_pass_raw_headers = True
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_loop_error)
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)

    async def stopped() -> None:
        await stop.wait()

    _tell("listening", url=url)
    await serve(application, config, shutdown_trigger=stopped, mode="asgi")  # type: ignore[arg-type]


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    asyncio.run(_run())
