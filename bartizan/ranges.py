"""Address lists, compiled to a file that the edge maps into memory and searches.

The file is a run of little-endian 32-bit words after the magic; ``lua/bartizan/ranges.lua`` reads it:

=====================  ==================================================================
8 bytes                the magic ``BZRANGE2``
4 words                IPv4: n, how many ranges; base, shift and m of the index
4 words                the same for IPv6
m + 1 words            the IPv4 index (see `_Index`)
n words, n words       the first, then the last addresses of the IPv4 ranges
m + 1, 4 n, 4 n words  the same for IPv6; an address is four words, the most significant first
=====================  ==================================================================

Ranges are sorted, disjoint and not adjacent, so the greatest first address that is not above the one
looked for belongs to the only range that can hold it. IPv4-mapped IPv6 networks (``::ffff:0:0/96`` and what
is inside, RFC 4291 section 2.5.5.2) are stored as the IPv4 networks that they are.
"""

import ipaddress
import os
import socket
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

__all__ = ["MAGIC", "Network", "RangesError", "compile_ranges", "read_list", "read_network"]

# The version (4 or 6), the first and the last address as numbers. A plain tuple, for there may be a million.
Network: TypeAlias = tuple[int, int, int]

MAGIC: Final = b"BZRANGE2"

# The host mask of each prefix length as it may be written: no sign, no leading zero, ASCII digits only.
_HOST_MASKS_4: Final = {str(length): (1 << (32 - length)) - 1 for length in range(33)}
_HOST_MASKS_6: Final = {str(length): (1 << (128 - length)) - 1 for length in range(129)}
_MAPPED: Final = 0xFFFF << 32


class RangesError(ValueError):
    """An address list that can't be used. The message says where, what, and what would be right."""


def read_network(text: str) -> Network:
    """Read one address (``192.0.2.7``) or network (``192.0.2.0/24``, ``2001:db8::/32``).

    Raises:
        RangesError: The text is neither, or its address has bits set beyond the prefix.
    """
    # inet_pton reads a million addresses in a second, ipaddress in ten: that one only words the errors.
    address, slash, length = text.partition("/")
    try:
        if ":" in address:
            first = int.from_bytes(socket.inet_pton(socket.AF_INET6, address))
            host_mask = _HOST_MASKS_6[length] if slash else 0
            version = 6
        else:
            first = int.from_bytes(socket.inet_pton(socket.AF_INET, address))
            host_mask = _HOST_MASKS_4[length] if slash else 0
            version = 4
    except (OSError, KeyError, ValueError):
        raise RangesError(_complaint(text)) from None
    if first & host_mask:
        network = ipaddress.ip_network(text, strict=False)
        raise RangesError(
            f"{text} has bits set beyond its prefix; the network is {network}, the one address {address}"
        )
    last = first | host_mask
    if version == 6 and first >> 32 == last >> 32 == _MAPPED >> 32:
        return 4, first - _MAPPED, last - _MAPPED
    return version, first, last


def _complaint(text: str) -> str:
    """Say what is wrong with a text that is no network."""
    shown = ascii(text if len(text) <= 60 else text[:60] + "...")
    address = text.partition("/")[0]
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return (
            f"{shown} is no IP address or network; write 192.0.2.7 or 2001:db8::7 for an address, "
            "192.0.2.0/24 or 2001:db8::/32 for a network"
        )
    if "%" in address:
        return f"{shown} names a zone, which no client's address has; write the address without it"
    return f"{shown} has no valid prefix length; it is a whole number from 0 to {known.max_prefixlen}"


def read_list(path: Path) -> Iterator[Network]:
    """Read a text file with one address or network a line, blank lines, and comments after ``#`` or ``;``.

    Raises:
        RangesError: An entry is not an address or network, or the file can't be read.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                # "#" as in most lists, ";" as in those of Spamhaus.
                text = line.partition("#")[0].partition(";")[0].strip()
                if text:
                    try:
                        yield read_network(text)
                    except RangesError as error:
                        raise RangesError(f"{path}, line {number}: {error}") from None
    except OSError as error:
        raise RangesError(f"{path}: the address list cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise RangesError(
            f"{path}: the address list is not UTF-8 text; it has one address or network a line"
        ) from None


def _merge(packed: list[int], bits: int) -> tuple[list[int], list[int]]:
    """Join what overlaps or touches.

    Args:
        packed: Ranges, each as ``first << bits | last``: one number sorts faster than a pair.
        bits: The width of an address.

    Returns:
        The first and the last addresses of the disjoint ranges, in ascending order.
    """
    packed.sort()
    mask = (1 << bits) - 1
    firsts: list[int] = []
    lasts: list[int] = []
    end = -2
    for entry in packed:
        first = entry >> bits
        last = entry & mask
        if first > end + 1:
            firsts.append(first)
            lasts.append(last)
            end = last
        elif last > end:
            lasts[-1] = end = last
    return firsts, lasts


class _Index(NamedTuple):
    """Where to begin and end a search: without it, a million ranges are twenty steps, each to cold memory.

    The most significant words of the first addresses, from the lowest (`base`) up, are divided into buckets
    of 2^shift; `starts` says how many ranges lie before each bucket, and ends with how many there are in all.
    """

    base: int
    shift: int
    starts: list[int]


def _index(words: list[int]) -> _Index:
    """Make the index over ascending words: some eight to sixteen to a bucket if they are evenly spread."""
    if not words:
        return _Index(0, 0, [0])
    base = words[0]
    span = words[-1] - base
    # At least two buckets: LuaJIT shifts a 32-bit number by 31 at most.
    shift = max(0, span.bit_length() - max(1, len(words).bit_length() - 4))
    buckets = (span >> shift) + 1
    starts = [bisect_left(words, base + (bucket << shift)) for bucket in range(buckets)]
    return _Index(base, shift, [*starts, len(words)])


def _words(numbers: Iterable[int], size: int = 4) -> bytes:
    """Pack numbers of so many bytes as little-endian 32-bit words, the most significant word first."""
    words = array("I", b"".join([number.to_bytes(size) for number in numbers]))
    words.byteswap()  # on either kind of machine: the bytes are big-endian, the file is little-endian
    return words.tobytes()


def _family(packed: list[int], bits: int) -> tuple[int, bytes, list[bytes]]:
    """Lay out the ranges of one family.

    Args:
        packed: As `_merge` takes them.
        bits: The width of an address.

    Returns:
        How many ranges there are, their part of the header, and their parts of the body.
    """
    firsts, lasts = _merge(packed, bits)
    index = _index([first >> (bits - 32) for first in firsts])
    header = _words((len(firsts), index.base, index.shift, len(index.starts) - 1))
    return len(firsts), header, [_words(index.starts), _words(firsts, bits // 8), _words(lasts, bits // 8)]


def compile_ranges(cidrs: Iterable[str], files: Iterable[Path], output: Path) -> int:
    """Write the addresses and networks of a policy, and of the files that it names, as one file of ranges.

    The output is replaced as a whole: a running gateway has the file that was there mapped into its memory,
    and goes on with that one until it is reloaded.

    Args:
        cidrs: Addresses and networks in the policy itself.
        files: Text files as `read_list` reads them.
        output: Where the ranges go.

    Returns:
        How many disjoint ranges were written.

    Raises:
        RangesError: An entry is not an address or network, or a file can't be read.
    """
    packed4: list[int] = []
    packed6: list[int] = []

    def add(networks: Iterable[Network]) -> None:
        for version, first, last in networks:
            if version == 4:
                packed4.append(first << 32 | last)
            else:
                packed6.append(first << 128 | last)

    add(map(read_network, cidrs))
    for path in files:
        add(read_list(path))
    count4, header4, body4 = _family(packed4, 32)
    count6, header6, body6 = _family(packed6, 128)
    _replace(output, (MAGIC, header4, header6, *body4, *body6))
    return count4 + count6


def _replace(output: Path, parts: Iterable[bytes]) -> None:
    """Put a new file in the place of an old one: to shorten one that is mapped is a SIGBUS at its reader."""
    descriptor, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
        Path(name).replace(output)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
