"""Address ranges as the edge searches them, against Python's ipaddress."""

import ipaddress
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.ranges import MAGIC, compile_ranges
from tests.support.lua import Lua

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
NOT_MAPPED = st.ip_addresses(v=6).filter(lambda address: address not in MAPPED)


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua(encoding="latin-1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranges")


def opened(lua: Lua, folder: Path, *networks: str) -> Any:
    output = folder / "list.ranges"
    compile_ranges(networks, (), output)
    ranges = lua.require("bartizan.ranges").open(str(output))
    assert not isinstance(ranges, tuple), ranges
    return ranges


def contains(ranges: Any, address: Address) -> bool:
    found = ranges.contains(ranges, address.packed.decode("latin-1"))
    assert isinstance(found, bool)
    return found


@pytest.mark.parametrize(
    ("networks", "inside", "outside"),
    [
        ([], [], ["0.0.0.0", "255.255.255.255", "::", "::1", "::ffff:0.0.0.0"]),
        (["0.0.0.0/0"], ["0.0.0.0", "255.255.255.255", "::ffff:10.0.0.1"], ["::", "2001:db8::1"]),
        (["::/0"], ["::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], ["0.0.0.0", "::ffff:10.0.0.1"]),
        (["192.0.2.7"], ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.2.6", "192.0.2.8", "::192.0.2.7"]),
        (["::ffff:192.0.2.7"], ["192.0.2.7", "::ffff:192.0.2.7"], ["::192.0.2.7"]),
        (
            ["127.255.255.255", "128.0.0.0"],
            ["127.255.255.255", "128.0.0.0"],
            ["127.255.255.254", "128.0.0.1"],
        ),
        (
            ["10.0.0.0/8", "192.168.0.0/16"],
            ["10.0.0.0", "10.255.255.255"],
            ["9.255.255.255", "11.0.0.0", "100.0.0.0"],
        ),
        (
            ["2001:db8::/32"],
            ["2001:db8::", "2001:db8:ffff::1"],
            ["2001:db7:ffff::", "2001:db9::", "32.1.13.184"],
        ),
        (["8000::/1"], ["8000::", "ffff::"], ["7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        (["2001:db8::7", "2001:db8::9"], ["2001:db8::7", "2001:db8::9"], ["2001:db8::6", "2001:db8::8"]),
    ],
)
def test_bounds(lua: Lua, folder: Path, networks: list[str], inside: list[str], outside: list[str]) -> None:
    ranges = opened(lua, folder, *networks)
    assert [address for address in inside if not contains(ranges, ipaddress.ip_address(address))] == []
    assert [address for address in outside if contains(ranges, ipaddress.ip_address(address))] == []


@given(
    st.lists(st.tuples(st.ip_addresses(v=4) | NOT_MAPPED, st.integers(0, 128)), max_size=20),
    st.lists(st.ip_addresses(v=4) | NOT_MAPPED, max_size=10),
)
def test_an_address_is_found_where_ipaddress_finds_it(
    lua: Lua, folder: Path, entries: list[tuple[Address, int]], others: list[Address]
) -> None:
    networks = [
        ipaddress.ip_network((address, min(length, address.max_prefixlen)), strict=False)
        for address, length in entries
    ]
    ranges = opened(lua, folder, *map(str, networks))
    # The neighbours of a bound are where a search goes wrong.
    edges = [
        type(network.network_address)(number)
        for network in networks
        for bound in (int(network.network_address), int(network.broadcast_address))
        for number in (bound - 1, bound, bound + 1)
        if 0 <= number < 1 << network.max_prefixlen
    ]
    for address in [*others, *(edge for edge in edges if edge.version == 4 or edge not in MAPPED)]:
        assert contains(ranges, address) == any(address in network for network in networks), address
        if address.version == 4:
            mapped = ipaddress.IPv6Address(int(MAPPED.network_address) | int(address))
            assert contains(ranges, mapped) == contains(ranges, address)


@pytest.mark.parametrize(
    ("base", "spread"),
    [
        (0, 32),
        (0xFFFF0000, 16),
        (0x0A000000, 14),
        (0x2001_0DB8 << 96, 96),
        (0x2000 << 112, 125),
        (1 << 127, 20),
    ],
    ids=["all of IPv4", "its end", "one /18", "one IPv6 /32", "all that is routed", "one /108"],
)
def test_long_lists_spread_wide_or_close(lua: Lua, folder: Path, base: int, spread: int) -> None:
    """Long enough for an index of many buckets, some of them empty."""
    random = Random(spread)  # noqa: S311
    family = ipaddress.IPv4Address if base < 1 << 32 else ipaddress.IPv6Address
    listed = {base + random.getrandbits(spread) for _ in range(3000)}
    ranges = opened(lua, folder, *(str(family(number)) for number in listed))
    top = (1 << family(0).max_prefixlen) - 1
    asked = {number + step for number in listed for step in (-1, 0, 1)} | {0, top}
    wrong = [
        number
        for number in asked
        if 0 <= number <= top and contains(ranges, family(number)) != (number in listed)
    ]
    assert wrong == []


@pytest.mark.parametrize("length", [0, 3, 5, 15, 17])
def test_what_is_no_address_is_an_error_and_not_a_miss(lua: Lua, folder: Path, length: int) -> None:
    ranges = opened(lua, folder, "0.0.0.0/0", "::/0")
    assert ranges.contains(ranges, "u" * length) == (None, "not an IP address")


def test_ranges_outlive_the_replacement_of_their_file(lua: Lua, folder: Path) -> None:
    before = opened(lua, folder, "192.0.2.0/24")
    after = opened(lua, folder, "198.51.100.0/24")
    address = ipaddress.ip_address("192.0.2.1")
    assert (contains(before, address), contains(after, address)) == (True, False)


def test_a_dropped_list_gives_its_mapping_back(lua: Lua, folder: Path) -> None:
    def mappings() -> int:
        lua.memory()
        return Path("/proc/self/maps").read_text().count(f"{folder}/list.ranges")

    before = mappings()
    ranges = opened(lua, folder, "192.0.2.0/24")
    assert mappings() == before + 1
    del ranges
    assert mappings() <= before


def broken(path: Path, at: int, word: int) -> bytes:
    """A file of two IPv4 and two IPv6 ranges in which one word is another."""
    compile_ranges(["192.0.2.1", "198.51.100.1", "2001:db8::1", "2001:db9::1"], (), path)
    content = bytearray(path.read_bytes())
    content[at : at + 4] = word.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda _: None, "cannot open: No such file or directory"),
        (lambda _: b"", "not a file of address ranges: 0 bytes"),
        (lambda _: MAGIC, "not a file of address ranges: 8 bytes"),
        (lambda _: b"192.0.2.0/24\n" * 9, "it does not begin with BZRANGE2"),
        (lambda _: MAGIC + bytes(41), "damaged: 49 bytes where its counts ask for 48"),
        (lambda _: MAGIC + bytes(36), "damaged: 44 bytes where its counts ask for 48"),
        (lambda _: MAGIC + b"\xff" * 60, "damaged: 68 bytes where its counts ask for "),
        (lambda path: broken(path, 8, 0)[:-4], "damaged: "),
        (lambda path: broken(path, 8, 3), "damaged: "),  # a count
        (lambda path: broken(path, 16, 32), "its index leads astray"),  # a shift
        (lambda path: broken(path, 40, 1), "its index leads astray"),  # where the first bucket begins
        (lambda path: broken(path, 44, 9), "its index leads astray"),  # where another does
    ],
)
def test_a_file_that_is_not_whole_is_refused(
    lua: Lua, tmp_path: Path, content: Callable[[Path], bytes | None], message: str
) -> None:
    path = tmp_path / "list.ranges"
    data = content(path)
    if data is not None:
        path.write_bytes(data)
    ranges, error = lua.require("bartizan.ranges").open(str(path))
    assert ranges is None
    assert error.startswith(f"{path}: ")
    assert message in error
