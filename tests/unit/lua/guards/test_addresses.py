"""The addresses guard's decision, for the address that nginx would give it."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from lupa import luajit21

from bartizan.ranges import compile_ranges
from tests.support.lua import Lua

DENIED = "the address is in the deny list"
NOT_ALLOWED = "the address is not in the allow list"
NO_ADDRESS = "the client has no IP address"


@pytest.fixture
def lua() -> Lua:
    lua = Lua(encoding="latin-1")
    lua.execute("ngx = { var = {} }")
    return lua


def settings(lua: Lua, folder: Path, **lists: Sequence[str] | None) -> Any:
    """Compile the lists; one that is None is null, as it is in edge.json."""
    table: dict[str, Any] = {}
    for name, networks in lists.items():
        if networks is None:
            table[name] = lua.require("bartizan.json").null
        else:
            path = folder / f"{name}.ranges"
            compile_ranges(networks, (), path)
            table[name] = str(path)
    return lua.table(table)


def check(lua: Lua, guard: Any, remote: bytes) -> Any:
    lua.execute("ngx.var.binary_remote_addr = ...", remote.decode("latin-1"))
    verdict = lua.python(lua.require("bartizan.guards.addresses").check(guard))
    if verdict is None:
        return None
    assert (verdict["status"], verdict["code"]) == (403, "address_denied")
    return verdict["reason"]


@pytest.mark.parametrize(
    ("allow", "deny", "address", "reason"),
    [
        (None, ["192.0.2.0/24"], "192.0.2.9", DENIED),
        (None, ["192.0.2.0/24"], "198.51.100.9", None),
        (None, ["192.0.2.0/24"], "2001:db8::9", None),
        (["192.0.2.0/24"], None, "192.0.2.9", None),
        (["192.0.2.0/24"], None, "::ffff:192.0.2.9", None),
        (["192.0.2.0/24"], None, "198.51.100.9", NOT_ALLOWED),
        (["192.0.2.0/24"], None, "2001:db8::9", NOT_ALLOWED),
        (["2001:db8::/32"], None, "2001:db8::9", None),
        (["2001:db8::/32"], None, "2001:db9::9", NOT_ALLOWED),
        (["192.0.2.0/24"], ["192.0.2.9"], "192.0.2.9", DENIED),
        (["192.0.2.0/24"], ["192.0.2.9"], "192.0.2.8", None),
        ([], None, "192.0.2.9", NOT_ALLOWED),
        (None, [], "192.0.2.9", None),
    ],
)
def test_deny_wins_and_allow_is_the_whole_of_who_may(
    lua: Lua,
    tmp_path: Path,
    allow: list[str] | None,
    deny: list[str] | None,
    address: str,
    reason: str | None,
) -> None:
    guard = lua.require("bartizan.guards.addresses").new(settings(lua, tmp_path, allow=allow, deny=deny))
    assert check(lua, guard, ipaddress.ip_address(address).packed) == reason


@pytest.mark.parametrize("lists", [{"allow": ["0.0.0.0/0", "::/0"]}, {"deny": []}], ids=["allow", "deny"])
def test_a_client_without_an_ip_address_stays_outside(
    lua: Lua, tmp_path: Path, lists: dict[str, list[str]]
) -> None:
    guard = lua.require("bartizan.guards.addresses").new(settings(lua, tmp_path, **lists))
    assert check(lua, guard, b"unix:") == NO_ADDRESS


def test_settings_without_any_list_are_an_error(lua: Lua, tmp_path: Path) -> None:
    with pytest.raises(luajit21.LuaError, match="neither an allow nor a deny list is given"):
        lua.require("bartizan.guards.addresses").new(settings(lua, tmp_path, allow=None, deny=None))


def test_a_list_that_cannot_be_opened_is_an_error_and_not_an_empty_list(lua: Lua, tmp_path: Path) -> None:
    table = lua.table({"deny": str(tmp_path / "absent.ranges")})
    with pytest.raises(luajit21.LuaError, match=r"could not open the deny list: .*No such file"):
        lua.require("bartizan.guards.addresses").new(table)
