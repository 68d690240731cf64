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


def told(lines: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in f"X-Forwarded-For: {lines}".split("\r\n"))


@pytest.mark.parametrize(
    ("address", "node"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", '"[2001:db8::1]"'), ("::1", '"[::1]"')],
)
def test_lines(via: Any, address: str, node: str) -> None:
    assert told(via.lines(via.new("https", 8443), address, "api.example.com:8443")) == {
        "X-Forwarded-For": address,
        "X-Real-IP": address,
        "Forwarded": f'for={node};host="api.example.com:8443";proto=https',
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "api.example.com:8443",
        "X-Forwarded-Port": "8443",
    }


def test_ways_addresses_and_hosts_are_kept_apart(via: Any) -> None:
    ways = [via.new("https", 443), via.new("http", 80)]
    asked = [(way, address, host) for way in ways for address in ("a", "b") for host in ("x", "y")]
    first = [via.lines(*each) for each in asked]
    assert len(set(first)) == len(asked)
    assert [via.lines(*each) for each in asked] == first


def test_what_is_remembered_is_bounded(lua: Lua, via: Any) -> None:
    way = via.new("https", 443)

    def ask(kind: str, start: int) -> None:
        lua.execute(
            """
            local lines, way, kind, start = ...
            for i = start, start + 20000 do
                lines(way, kind == "address" and "a" .. i or "a", kind == "host" and "h" .. i or "h")
            end
            """,
            via.lines,
            way,
            kind,
            start,
        )

    for kind in ("address", "host"):
        ask(kind, 0)
        before = lua.memory()
        ask(kind, 100_000)
        assert lua.memory() < before + 2_000_000
    assert told(via.lines(way, "192.0.2.1", "h"))["X-Real-IP"] == "192.0.2.1"
