"""lua/bartizan/upgrade.lua: which requests may leave HTTP."""

from typing import Any

import pytest

from tests.support.lua import Lua

LINE = "GET /chat?room=1 HTTP/1.1"
HANDSHAKE: dict[str, Any] = {"upgrade": "websocket", "connection": "Upgrade"}


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua()


def is_websocket(lua: Lua, line: str, headers: dict[str, Any]) -> Any:
    table = {name: lua.table(value) if isinstance(value, list) else value for name, value in headers.items()}
    return lua.require("bartizan.upgrade").is_websocket(line, lua.table(table))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"upgrade": "WebSocket"},
        {"connection": "keep-alive, upgrade"},
        {"connection": ["keep-alive", "UPGRADE"]},
        {"content-length": "0"},
        {"content-length": "000"},
    ],
)
def test_a_handshake(lua: Lua, changes: dict[str, Any]) -> None:
    assert is_websocket(lua, LINE, HANDSHAKE | changes) is True


@pytest.mark.parametrize(
    "changes",
    [
        {"upgrade": "h2c"},
        {"upgrade": "websocket, h2c"},
        {"upgrade": ["websocket", "h2c"]},
        {"connection": None},
        {"connection": "keep-alive"},
        {"connection": ["keep-alive", "x-upgrade"]},
        {"content-length": "1"},
        {"content-length": "010"},
        {"transfer-encoding": "chunked"},
    ],
)
def test_fields_of_no_handshake(lua: Lua, changes: dict[str, Any]) -> None:
    headers = {name: value for name, value in (HANDSHAKE | changes).items() if value is not None}
    assert is_websocket(lua, LINE, headers) is False


@pytest.mark.parametrize(
    "line",
    [
        "POST /chat HTTP/1.1",
        "HEAD /chat HTTP/1.1",
        "GET /chat HTTP/1.0",
        "GET /chat HTTP/2.0",
        "GETS /chat HTTP/1.1",
    ],
)
def test_lines_of_no_handshake(lua: Lua, line: str) -> None:
    assert is_websocket(lua, line, HANDSHAKE) is False
