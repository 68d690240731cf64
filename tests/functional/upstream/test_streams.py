"""The event stream and the WebSocket: they flow, they are bounded, and they end with their token."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from quart import Quart
from quart.testing import QuartClient
from quart.testing.connections import WebsocketDisconnectError, WebsocketResponseError

from tests.functional.upstream.conftest import bearer, client_of
from tests.support.waiting import until
from upstream.services import services_of
from upstream.users import streams
from upstream.users.feed import MAX_LISTENERS

GREETING = "retry: 3000\n: connected\n\n"


@contextlib.asynccontextmanager
async def listening(client: QuartClient, **token: Any) -> AsyncIterator[Any]:
    """Open the event stream and read its greeting."""
    async with client.request("/api/users/events", headers=bearer("users:read", **token)) as opened:
        connection: Any = opened
        await connection.send_complete()
        assert await receive(connection) == GREETING
        assert connection.status_code == 200
        try:
            yield connection
        finally:
            await connection.disconnect()


async def receive(connection: Any) -> str:
    data: bytes = await asyncio.wait_for(connection.receive(), 20)
    return data.decode()


async def test_a_listener_hears_of_a_new_user(client: QuartClient) -> None:
    async with listening(client) as connection:
        assert connection.headers["Content-Type"].startswith("text/event-stream")
        user = {"name": "New", "email": "new@example.org", "about": "two\nlines\n\ndata: forged\nevent: x"}
        added = await (await client.post("/api/users", json=user, headers=bearer())).get_json()
        lines = (await receive(connection)).split("\n")
        assert lines[0] == "event: user.added"
        assert json.loads(lines[1].removeprefix("data: ")) == added
        assert lines[2:] == ["", ""]


async def test_a_user_that_was_not_added_is_no_event(
    client: QuartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.01)
    async with listening(client) as connection:
        taken = {"name": "Ada", "email": "ada@example.org"}
        assert (await client.post("/api/users", json=taken, headers=bearer())).status_code == 409
        assert {await receive(connection) for _ in range(3)} == {": still here\n\n"}


async def test_the_stream_ends_with_its_token(client: QuartClient) -> None:
    async with listening(client, exp=int(time.time()) + 1) as connection:
        rest = [await receive(connection)]
        while rest[-1]:
            rest.append(await receive(connection))
        assert set(rest) <= {": still here\n\n", ""}


async def test_the_stream_ends_when_the_service_stops(app: Quart) -> None:
    async with listening(client_of(app)) as connection:
        services_of(app).stop()
        assert await receive(connection) == ""


async def test_only_so_many_may_listen_and_who_leaves_makes_room(app: Quart) -> None:
    client = client_of(app)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_LISTENERS):
            await stack.enter_async_context(listening(client))
        refused = await client.get("/api/users/events", headers=bearer())
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert (await refused.get_json())["code"] == "too_many_listeners"
    async with listening(client):
        assert len(services_of(app).feed) == 1
    await until(lambda: len(services_of(app).feed) == 0)


async def test_the_websocket_sends_back_what_it_gets(client: QuartClient) -> None:
    async with client.websocket("/api/users/live", headers=bearer("users:read")) as socket:
        for message in ("hello", "", "æøå \U0001f600", "<script>", "x" * 10_000):
            await socket.send(message)
            assert await asyncio.wait_for(socket.receive(), 20) == message
        await socket.send(b"\x00\xff")
        assert await asyncio.wait_for(socket.receive(), 20) == b"\x00\xff"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "token_missing"),
        ({"Authorization": "Bearer a.b.c"}, 401, "token_invalid"),
        (bearer("users:write"), 403, "insufficient_scope"),
    ],
)
async def test_the_websocket_needs_a_token_too(
    client: QuartClient, headers: dict[str, str], status: int, code: str
) -> None:
    with pytest.raises(WebsocketResponseError) as refused:
        async with client.websocket("/api/users/live", headers=headers) as socket:
            await asyncio.wait_for(socket.receive(), 20)
    response = refused.value.response
    assert response.status_code == status
    assert (await response.get_json())["code"] == code
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_unknown_websocket_path_is_not_found(client: QuartClient) -> None:
    with pytest.raises(WebsocketResponseError) as refused:
        async with client.websocket("/api/users/other", headers=bearer()) as socket:
            await asyncio.wait_for(socket.receive(), 20)
    assert refused.value.response.status_code == 404


async def closing_code(socket: Any) -> int:
    with pytest.raises(WebsocketDisconnectError) as closed:
        await asyncio.wait_for(socket.receive(), 20)
    code: int = closed.value.args[0]
    return code


async def test_the_websocket_ends_with_its_token(client: QuartClient) -> None:
    headers = bearer("users:read", exp=int(time.time()) + 1)
    async with client.websocket("/api/users/live", headers=headers) as socket:
        assert await closing_code(socket) == 1008


async def test_the_websocket_ends_when_the_service_stops(app: Quart) -> None:
    async with client_of(app).websocket("/api/users/live", headers=bearer("users:read")) as socket:
        await socket.send("hello")
        assert await asyncio.wait_for(socket.receive(), 20) == "hello"
        services_of(app).stop()
        assert await closing_code(socket) == 1001
