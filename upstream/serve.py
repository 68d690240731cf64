"""Running the application on hypercorn until a signal stops it."""

import asyncio
import logging
import signal
import socket
from typing import Any

import structlog
import uvloop
from hypercorn.asyncio import serve as run_hypercorn
from hypercorn.config import Config

from upstream.app import create_app
from upstream.services import services_of
from upstream.settings import Settings


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on an open socket until SIGINT or SIGTERM; the database has to be there."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    app = create_app(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_loop_error)
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)

    async def stopped() -> None:
        await stop.wait()
        # Before hypercorn waits for open connections: event streams and WebSockets would keep it waiting.
        services_of(app).stop()

    host, port = listener.getsockname()[:2]
    structlog.get_logger("upstream").info(
        "listening", url=f"http://{f'[{host}]' if ':' in host else host}:{port}"
    )
    await run_hypercorn(app, _hypercorn(settings, listener), shutdown_trigger=stopped, mode="asgi")
    structlog.get_logger("upstream").info("stopped")


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # A connection that is half-way into a request at the end is cancelled. Python 3.11's streams ask its
    # task for an exception then, which raises; nothing is wrong.
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


def _hypercorn(settings: Settings, listener: socket.socket) -> Config:
    config = Config()
    # Hypercorn closes the socket, so it is handed over for good.
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.loglevel = "WARNING"
    config.include_server_header = False
    # Longer than the gateway keeps a connection it does not use, so that it is never us who close under a
    # request.
    config.keep_alive_timeout = 75.0
    config.keep_alive_max_requests = 1_000_000
    config.websocket_max_message_size = settings.body_limit
    # No pings of hypercorn's: the task that sends them outlives its connection, and stopping waits for it.
    config.websocket_ping_interval = None
    config.backlog = 1024
    return config
