"""Accepting connections: hypercorn's protocol on a socket that is bound already.

hypercorn's own server notices idle connections with a task, and a time-out task inside it, that it starts and
cancels around every request. Here it is one timer, and a request costs a tenth less.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import AsyncioSingleTask, WorkerContext
from hypercorn.config import Config
from hypercorn.typing import AppWrapper, LifespanState, TaskGroup
from hypercorn.utils import wrap_app
from quart import Quart


class _IdleTimer(AsyncioSingleTask):
    """Closes a connection on which no request has come for too long."""

    def __init__(self, close: Callable[[], None], seconds: float) -> None:
        super().__init__()
        self._close = close
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        return self._timer is not None

    async def restart(self, _task_group: TaskGroup, _action: Callable[..., Any]) -> None:
        await self.stop()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._close)

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Connection(TCPServer):
    """One connection."""

    idle_task: _IdleTimer

    def __init__(
        self, app: AppWrapper, config: Config, context: WorkerContext, streams: tuple[Any, Any]
    ) -> None:
        super().__init__(app, asyncio.get_running_loop(), config, context, LifespanState({}), *streams)
        self.idle_task = _IdleTimer(self.writer.close, config.keep_alive_timeout)

    def close_if_idle(self) -> None:
        """Close the connection unless a request is being answered; that one closes it when it is done."""
        if self.idle_task.idle:
            self.writer.close()


async def accept(app: Quart, config: Config, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve on a listening socket until told to stop, then let what is being answered finish.

    Args:
        app: The application.
        config: hypercorn's settings.
        listener: The socket.
        stop: Ends it when set.
    """
    wrapped = wrap_app(cast("Any", app), config.wsgi_max_body_size, "asgi")
    context = WorkerContext(None)
    open_now: dict[_Connection, asyncio.Task[Any]] = {}

    async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(wrapped, config, context, (reader, writer))
        open_now[connection] = cast("asyncio.Task[Any]", asyncio.current_task())
        try:
            # Only the end of the grace below cancels this task, and asyncio would log it as a failure.
            with suppress(asyncio.CancelledError):
                await connection.run()
        finally:
            del open_now[connection]

    # One application context for all requests: Quart makes one for each otherwise, and nothing is kept in it.
    async with app.app_context():
        server = await asyncio.start_server(serve_connection, sock=listener, backlog=config.backlog)
        await stop.wait()
        await context.terminated.set()
        server.close()
        for connection in open_now:
            connection.close_if_idle()
        if open_now:
            _, late = await asyncio.wait(open_now.values(), timeout=config.graceful_timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
