"""How an HTTP request reaches Quart: whole, bounded, and in one task.

Quart runs a second task beside each handler to feed it the body and to notice that the client has gone. Here
a body is at most a few KiB and an answer takes a millisecond, so the body is read first and the handler runs
in the task that hypercorn made: two tasks and two time-out tasks less, about a tenth of what a token costs.

What would end before any error handler of Quart's runs is refused here.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from re import compile as regex
from secrets import token_hex
from typing import Any, cast

import structlog
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Request
from quart.asgi import ASGIHTTPConnection, ASGIWebsocketConnection
from quart.utils import encode_headers

from tokendealer.replies import error_reply
from tokendealer.rfc6749.errors import PublicError

BODY_BYTES = 32 * 1024
"""The longest body: a token of 8 KiB fits several times, whatever its encoding."""

BODY_SECONDS = 10
"""How long a body may take. The gateway hands over whole bodies; this is for who comes without it."""

_REQUEST_ID = regex(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")


class TokenServiceRequest(Request):
    """A request that has a name for the log."""

    @cached_property
    def content_length(self) -> int | None:
        """The Content-Length header, which Quart and the connection both ask for."""
        return super().content_length

    @cached_property
    def request_id(self) -> str:
        """The gateway's X-Request-Id, or one made here if it is absent or could upset a log."""
        given = self.headers.get("X-Request-Id", "")
        return given if _REQUEST_ID.fullmatch(given) else new_request_id()


def new_request_id() -> str:
    """Return a name for a request that came without one."""
    return token_hex(16)


class WholeBodyConnection(ASGIHTTPConnection):
    """Reads the body, then handles the request, then sends the answer in one message."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Handle one request (ASGI)."""
        try:
            request = cast("TokenServiceRequest", self._create_request_from_scope(send))
        except (ValueError, IndexError):  # a target such as "?x", or a line break in a header
            await self._refuse(send, new_request_id(), PublicError.BAD_REQUEST)
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                if not await self._read_body(request, receive):
                    return
        except TimeoutError:
            await self._refuse(send, request.request_id, PublicError.REQUEST_TIMEOUT)
            return
        await self._answer(send, request.request_id, await self.app.handle_request(request))

    async def _read_body(self, request: Request, receive: ASGIReceiveCallable) -> bool:
        """Read up to the bound; Quart's Body answers 413 itself when it is given, or told of, more than that.

        Returns:
            Whether the client is still there.
        """
        declared = request.content_length or 0
        received = 0
        while max(declared, received) <= BODY_BYTES:
            message: Any = await receive()
            if message["type"] != "http.request":
                return False
            received += len(message.get("body", b""))
            request.body.append(message.get("body", b""))
            if not message.get("more_body", False):
                request.body.set_complete()
                break
        return True

    async def _refuse(self, send: ASGISendCallable, request_id: str, error: PublicError) -> None:
        log = structlog.get_logger("tokendealer")
        log.info("request_refused", request_id=request_id, status=error.status, reason=error.name.lower())
        await self._answer(send, request_id, error_reply(error))

    async def _answer(self, send: ASGISendCallable, request_id: str, response: Any) -> None:
        headers = encode_headers(response.headers)
        headers.append((b"x-request-id", request_id.encode()))
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        # Every answer here was made from bytes or text, which Quart keeps whole.
        await send({"type": "http.response.body", "body": response.response.data, "more_body": False})


class NoWebSocket(ASGIWebsocketConnection):
    """Refuses a WebSocket handshake; closing before accepting is a 403 (ASGI, section Close)."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:  # noqa: ARG002
        """Handle one handshake (ASGI)."""
        await send({"type": "websocket.close", "code": 1000, "reason": None})
