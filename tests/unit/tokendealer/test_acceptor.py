"""Connections: kept, timed, and closed at the end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hypercorn.config import Config
from quart import Quart
from quart.signals import appcontext_pushed

from tests.support.waiting import until
from tokendealer.acceptor import accept
from tokendealer.server import bind

REQUEST = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class Server:
    """A running acceptor."""

    port: int
    stop: asyncio.Event
    task: asyncio.Task[None]
    release: asyncio.Event
    waiting: int = 0


@asynccontextmanager
async def serving(idle: float = 60, grace: float = 60) -> AsyncIterator[Server]:
    app = Quart("test", static_folder=None)
    config = Config()
    config.errorlog = logging.getLogger("hypercorn.error")  # by name it would get a handler, for good
    config.keep_alive_timeout = idle
    config.graceful_timeout = grace
    listener: socket.socket = bind("127.0.0.1", 0)
    stop = asyncio.Event()
    task = asyncio.create_task(accept(app, config, listener, stop))
    server = Server(listener.getsockname()[1], stop, task, asyncio.Event())

    @app.get("/quick")
    async def quick() -> str:
        return "done"

    @app.get("/slow")
    async def slow() -> str:
        server.waiting += 1
        await server.release.wait()
        return "done"

    try:
        yield server
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: bytes = b"quick") -> bytes:
    writer.write(REQUEST % path)
    return await asyncio.wait_for(reader.readuntil(b"done"), 20)


async def test_a_connection_is_kept_and_then_closed() -> None:
    async with serving(idle=0.5) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(3):
            assert (await ask(reader, writer)).startswith(b"HTTP/1.1 200")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await writer.wait_closed()


async def test_all_requests_share_one_application_context() -> None:
    pushed = 0

    async def count(_app: Quart) -> None:
        nonlocal pushed
        pushed += 1

    with appcontext_pushed.connected_to(count):
        async with serving() as server:
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                await ask(reader, writer)
                await ask(reader, writer)
                writer.close()
                await writer.wait_closed()
    assert pushed == 1


async def test_a_connection_that_never_asks_is_closed() -> None:
    async with serving(idle=0.1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await writer.wait_closed()


async def test_a_long_answer_is_not_idleness() -> None:
    async with serving(idle=0.05) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST % b"slow")
        await until(lambda: server.waiting)
        await asyncio.sleep(0.3)
        server.release.set()
        assert (await asyncio.wait_for(reader.readuntil(b"done"), 20)).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()


async def test_stopping_closes_the_idle_and_finishes_the_busy() -> None:
    async with serving() as server:
        idle = await asyncio.open_connection("127.0.0.1", server.port)
        await ask(*idle)
        busy = await asyncio.open_connection("127.0.0.1", server.port)
        busy[1].write(REQUEST % b"slow")
        await until(lambda: server.waiting)

        server.stop.set()

        assert await asyncio.wait_for(idle[0].read(), 20) == b""
        assert not server.task.done()
        server.release.set()
        assert (await asyncio.wait_for(busy[0].read(), 20)).endswith(b"done")
        await asyncio.wait_for(server.task, 20)
        for _, writer in (idle, busy):
            writer.close()
            await writer.wait_closed()


async def test_stopping_does_not_wait_for_ever() -> None:
    async with serving(grace=0.1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST % b"slow")
        await until(lambda: server.waiting)
        server.stop.set()
        await asyncio.wait_for(server.task, 20)
        assert b"done" not in await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await writer.wait_closed()
