"""Address lists, compiled to a file that the edge maps into memory and searches.

The file, all of it little-endian (``lua/bartizan/ranges.lua`` reads it):

====================  ==========================================================
8 bytes               the magic ``BZRANGE1``
u32, u32              n: how many IPv4 ranges; m: how many IPv6 ranges
n x u32, n x u32      the first, then the last addresses of the IPv4 ranges
m x 4 u32, m x 4 u32  the same for IPv6, the most significant word of each first
====================  ==========================================================

Ranges are sorted, disjoint and not adjacent, so the greatest first address that is not above the one
looked for belongs to the only range that can hold it. IPv4-mapped IPv6 networks (``::ffff:0:0/96`` and what
is inside, RFC 4291 section 2.5.5.2) are stored as the IPv4 networks that they are.
"""

import ipaddress
import os
import socket
import struct
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

__all__ = ["MAGIC", "Network", "RangesError", "compile_ranges", "read_list", "read_network"]

# The version (4 or 6), the first and the last address as numbers. A plain tuple, for there may be a million.
Network: TypeAlias = tuple[int, int, int]

MAGIC: Final = b"BZRANGE1"

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


def _words(addresses: Iterable[int], size: int) -> bytes:
    """Pack addresses of so many bytes as little-endian 32-bit words, the most significant word first."""
    words = array("I", b"".join([address.to_bytes(size) for address in addresses]))
    words.byteswap()  # on either kind of machine: the bytes are big-endian, the file is little-endian
    return words.tobytes()


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
    firsts4, lasts4 = _merge(packed4, 32)
    firsts6, lasts6 = _merge(packed6, 128)
    _replace(
        output,
        (
            MAGIC,
            struct.pack("<II", len(firsts4), len(firsts6)),
            _words(firsts4, 4),
            _words(lasts4, 4),
            _words(firsts6, 16),
            _words(lasts6, 16),
        ),
    )
    return len(firsts4) + len(firsts6)


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
