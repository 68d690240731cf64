"""Reading address lists, and compiling them to ranges."""

import ipaddress
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.ranges import MAGIC, Network, RangesError, compile_ranges, read_network

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

# What is written, and what the message must say.
WRONG = [
    ("localhost", "no IP address or network"),
    ("10.0.0", "no IP address or network"),
    ("10.0.0.256", "no IP address or network"),
    ("010.0.0.1", "no IP address or network"),
    ("10.0.0.1-10.0.0.9", "no IP address or network"),
    ("2001:db8::1::2", "no IP address or network"),
    ("10.0.0.1 10.0.0.2", "no IP address or network"),
    ("", "no IP address or network"),
    ("\0", "no IP address or network"),
    ("\u0661.2.3.4", "no IP address or network"),
    ("x" * 100_000, "no IP address or network"),
    ("10.0.0.0/33", "a whole number from 0 to 32"),
    ("10.0.0.0/", "a whole number from 0 to 32"),
    ("10.0.0.0/-1", "a whole number from 0 to 32"),
    ("10.0.0.0/08", "a whole number from 0 to 32"),
    ("10.0.0.0/\u0668", "a whole number from 0 to 32"),
    ("10.0.0.0/255.0.0.0", "a whole number from 0 to 32"),
    ("10.0.0.0/8/8", "a whole number from 0 to 32"),
    ("2001:db8::/129", "a whole number from 0 to 128"),
    ("fe80::1%eth0", "names a zone"),
    ("fe80::%eth0/64", "names a zone"),
    ("10.1.2.3/8", "the network is 10.0.0.0/8, the one address 10.1.2.3"),
    ("2001:db8::1/32", "the network is 2001:db8::/32, the one address 2001:db8::1"),
    ("0.0.0.1/0", "the network is 0.0.0.0/0"),
]


def written(path: Path) -> list[Network]:
    """Read a compiled file back, by the layout that the module documents."""
    content = path.read_bytes()
    assert content.startswith(MAGIC)
    words = list(struct.unpack_from(f"<{(len(content) - len(MAGIC)) // 4}I", content, len(MAGIC)))
    headers = (words[:4], words[4:8])
    del words[:8]
    found: list[Network] = []
    for version, (count, base, shift, buckets) in zip((4, 6), headers, strict=True):
        starts = words[: buckets + 1]
        del words[: buckets + 1]
        width = 1 if version == 4 else 4
        firsts, lasts = (
            addresses(words[index * width * count : (index + 1) * width * count], width) for index in (0, 1)
        )
        del words[: 2 * width * count]
        # Each bucket's slice holds exactly the ranges whose first address begins with one of its words.
        assert starts[-1] == count
        for bucket in range(buckets):
            for first in firsts[starts[bucket] : starts[bucket + 1]]:
                assert ((first >> (32 * (width - 1))) - base) >> shift == bucket
        found += [(version, first, last) for first, last in zip(firsts, lasts, strict=True)]
    assert words == []
    return found


def addresses(words: list[int], width: int) -> list[int]:
    numbers = []
    for at in range(0, len(words), width):
        number = 0
        for word in words[at : at + width]:
            number = number << 32 | word
        numbers.append(number)
    return numbers


def span(first: str, last: str) -> Network:
    start, end = ipaddress.ip_address(first), ipaddress.ip_address(last)
    return start.version, int(start), int(end)


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text[:20] for text, _ in WRONG])
def test_what_is_no_network_is_refused_and_explained(text: str, message: str) -> None:
    with pytest.raises(RangesError, match=message) as caught:
        read_network(text)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.7", span("192.0.2.7", "192.0.2.7")),
        ("192.0.2.0/24", span("192.0.2.0", "192.0.2.255")),
        ("0.0.0.0/0", span("0.0.0.0", "255.255.255.255")),
        ("2001:DB8::7", span("2001:db8::7", "2001:db8::7")),
        ("2001:db8::/32", span("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")),
        ("::/0", span("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
        ("::ffff:192.0.2.7", span("192.0.2.7", "192.0.2.7")),
        ("::ffff:192.0.2.0/120", span("192.0.2.0", "192.0.2.255")),
        ("::ffff:0:0/96", span("0.0.0.0", "255.255.255.255")),
        ("::fffe:0:0/95", span("::fffe:0:0", "::ffff:ffff:ffff")),
    ],
)
def test_addresses_and_networks_are_read(text: str, network: Network) -> None:
    assert read_network(text) == network


@given(ADDRESSES, st.integers(0, 128))
def test_every_network_is_read_as_ipaddress_reads_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int
) -> None:
    network = ipaddress.ip_network((address, min(length, address.max_prefixlen)), strict=False)
    version, first, last = read_network(str(network))
    if network.version == 6 and network.subnet_of(MAPPED):
        assert version == 4
        network = ipaddress.ip_network(
            (int(network.network_address) & 0xFFFFFFFF, network.prefixlen - MAPPED.prefixlen)
        )
    assert (version, first, last) == (
        network.version,
        int(network.network_address),
        int(network.broadcast_address),
    )


@given(st.text(alphabet="0123456789abcdef.:/% ", max_size=24))
def test_nothing_is_read_that_ipaddress_does_not_read(text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        with pytest.raises(RangesError):
            read_network(text)


@given(st.lists(st.tuples(ADDRESSES, st.integers(0, 128)), max_size=30))
def test_ranges_are_sorted_apart_and_cover_the_same_addresses(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]],
) -> None:
    networks = [
        ipaddress.ip_network((address, min(length, address.max_prefixlen)), strict=False)
        for address, length in entries
        if not (address.version == 6 and address in MAPPED)
    ]
    output = tmp_path_factory.mktemp("ranges") / "list.ranges"
    count = compile_ranges(map(str, networks), (), output)
    ranges = written(output)
    assert count == len(ranges)
    for version in (4, 6):
        mine = [(first, last) for kind, first, last in ranges if kind == version]
        assert all(last + 1 < first for (_, last), (first, _) in pairwise(mine))
        collapsed = ipaddress.collapse_addresses([net for net in networks if net.version == version])  # type: ignore[type-var]
        expected: list[tuple[int, int]] = []
        for network in collapsed:  # collapse_addresses leaves neighbours apart where they make no one network
            first, last = int(network.network_address), int(network.broadcast_address)
            if expected and expected[-1][1] + 1 == first:
                first = expected.pop()[0]
            expected.append((first, last))
        assert mine == expected


def test_files_may_have_comments_blank_lines_and_any_line_ending(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_bytes(
        b"\xef\xbb\xbf# a list\r\n\r\n192.0.2.0/25 ; SBL1\r\n"
        b"  192.0.2.128/25\t# the other half\n; end\n2001:db8::1"
    )
    output = tmp_path / "list.ranges"
    assert compile_ranges(["198.51.100.7"], [listed], output) == 3
    assert written(output) == [
        span("192.0.2.0", "192.0.2.255"),
        span("198.51.100.7", "198.51.100.7"),
        span("2001:db8::1", "2001:db8::1"),
    ]


def test_an_empty_list_is_a_list(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("# nobody yet\n")
    output = tmp_path / "list.ranges"
    assert compile_ranges((), [listed], output) == 0
    assert written(output) == []


def test_a_wrong_line_is_named_with_its_file_and_number(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("# a list\n192.0.2.0/24\n192.0.2.1/24 # typed in a hurry\n")
    with pytest.raises(RangesError) as caught:
        compile_ranges((), [listed], tmp_path / "list.ranges")
    assert str(caught.value) == (
        f"{listed}, line 3: 192.0.2.1/24 has bits set beyond its prefix; "
        "the network is 192.0.2.0/24, the one address 192.0.2.1"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file"), (b"192.0.2.1\n\xff\xfe\n", "is not UTF-8 text")],
    ids=["absent", "binary"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    listed = tmp_path / "list.txt"
    if content is not None:
        listed.write_bytes(content)
    with pytest.raises(RangesError, match=message) as caught:
        compile_ranges((), [listed], tmp_path / "list.ranges")
    assert str(listed) in str(caught.value)


def test_a_failed_compilation_leaves_the_old_ranges_and_no_scraps(tmp_path: Path) -> None:
    output = tmp_path / "list.ranges"
    compile_ranges(["192.0.2.0/24"], (), output)
    with pytest.raises(RangesError):
        compile_ranges(["192.0.2.1/24"], (), output)
    assert written(output) == [span("192.0.2.0", "192.0.2.255")]
    assert list(tmp_path.iterdir()) == [output]


def test_a_reader_keeps_the_ranges_that_it_opened(tmp_path: Path) -> None:
    output = tmp_path / "list.ranges"
    compile_ranges(["192.0.2.0/24"], (), output)
    with output.open("rb") as opened:
        compile_ranges((), (), output)
        full = len(opened.read())
    assert full > len(output.read_bytes())
