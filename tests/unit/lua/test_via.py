"""lua/bartizan/via.lua: what the upstream is told of the way that a request came."""

from typing import Any

import pytest

from tests.support.lua import Lua


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua()


@pytest.fixture(scope="module")
def via(lua: Lua) -> Any:
    return lua.require("bartizan.via")


def composed(via: Any, way: Any, address: str, host: str) -> str:
    """Return the lines as forward.lua composes them."""
    before, after = via.lines(way, host)
    return f"{before}{address}{via.AGAIN}{address}{via.NODE}{via.node(address)}{after}"


@pytest.mark.parametrize(
    ("address", "node"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", '"[2001:db8::1]"'), ("::1", '"[::1]"')],
)
def test_lines(via: Any, address: str, node: str) -> None:
    lines = composed(via, via.new("https", 8443), address, "api.example.com:8443")
    assert dict(line.split(": ", 1) for line in f"Host: {lines}".split("\r\n")) == {
        "Host": "api.example.com:8443",
        "X-Forwarded-For": address,
        "X-Real-IP": address,
        "Forwarded": f'for={node};host="api.example.com:8443";proto=https',
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "api.example.com:8443",
        "X-Forwarded-Port": "8443",
    }


def test_ways_and_hosts_are_kept_apart(via: Any) -> None:
    ways = [via.new("https", 443), via.new("http", 80)]
    asked = [(way, "a", host) for way in ways for host in ("x", "y")]
    first = [composed(via, *each) for each in asked]
    assert len(set(first)) == len(asked)
    assert [composed(via, *each) for each in asked] == first


def test_what_is_remembered_is_bounded(lua: Lua, via: Any) -> None:
    way = via.new("https", 443)

    def ask(start: int) -> None:
        lua.execute(
            """
            local lines, way, start = ...
            for i = start, start + 20000 do
                lines(way, "h" .. i)
            end
            """,
            via.lines,
            way,
            start,
        )

    ask(0)
    before = lua.memory()
    ask(100_000)
    assert lua.memory() < before + 2_000_000
    assert "X-Forwarded-Host: h\r\n" in composed(via, way, "192.0.2.1", "h")
