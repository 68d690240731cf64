"""Answers that go on: an event stream of new users, and a WebSocket echo. Neither outlives its token."""

import asyncio
import time
from collections.abc import AsyncIterator

from quart import Blueprint, Response, request, websocket
from quart_schema import hide

from upstream.problem import ProblemError
from upstream.services import services
from upstream.tokens.requires import caller, requires
from upstream.users.feed import Feed, FeedEndedError, FeedFullError, Listener

streams = Blueprint("streams", __name__, url_prefix="/api/users")

# Often enough that no proxy on the way takes the connection for dead.
HEARTBEAT = 15.0
# RFC 6455 section 7.4.1
POLICY_VIOLATION, GOING_AWAY = 1008, 1001


@streams.get("/events")
@hide
@requires("users:read")
async def events() -> Response:
    """Stream an event for each user that is added (the server-sent events of the HTML standard)."""
    if request.method == "HEAD":
        # Without this the stream would go on unseen, and hold up whoever uses the connection next.
        return Response(b"", content_type="text/event-stream")
    feed = services().feed
    try:
        listener = feed.connect()
    except FeedFullError:
        raise ProblemError(
            503, "too_many_listeners", "Too many clients are listening.", {"Retry-After": "30"}
        ) from None
    response = Response(_event_stream(feed, listener, caller().expires), content_type="text/event-stream")
    # Quart ends a response after a minute unless told; this one ends with its token.
    response.timeout = None
    return response


async def _event_stream(feed: Feed, listener: Listener, expires: float) -> AsyncIterator[bytes]:
    try:
        # The first bytes go out at once, so that a client knows that it is connected.
        yield b"retry: 3000\n: connected\n\n"
        while (left := expires - time.time()) > 0:
            user = await listener.next(min(HEARTBEAT, left))
            if user is None:
                yield b": still here\n\n"
            else:
                # JSON has no raw line ends, so it can't break out of its data line.
                yield f"event: user.added\ndata: {user.model_dump_json()}\n\n".encode()
    except FeedEndedError:
        return
    finally:
        feed.disconnect(listener)


@streams.websocket("/live")
@requires("users:read")
async def live() -> None:
    """Send each message back to whoever sent it."""
    await websocket.accept()
    try:
        async with asyncio.timeout(caller().expires - time.time()), asyncio.TaskGroup() as tasks:
            echo = tasks.create_task(_echo())
            await services().stopping.wait()
            echo.cancel()
    except TimeoutError:
        await websocket.close(POLICY_VIOLATION, "the token has expired")
    else:
        await websocket.close(GOING_AWAY, "the service is stopping")


async def _echo() -> None:
    while True:
        await websocket.send(await websocket.receive())
