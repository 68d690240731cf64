"""Valid requests with some bytes wrong, the same ones for the same seed."""

import random
from collections.abc import Callable, Sequence
from typing import Final

# What is most likely to be read in two ways.
PIECES: Final = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"%", b"%00", b"%2f", b"/", b"//", b"/../", b"..", b"\\",
    b"#", b"?", b"&", b";", b"@", b"\xff", b"\xc3", b"\xc0\xaf", b"\x7f", b"\x1b", b"HTTP/1.1", b"HTTP/1.0",
    b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n",
    b"Host: b\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n", b"Range: bytes=0-0\r\n", b"If-None-Match: *\r\n", b"\r\n b", b"0\r\n\r\n",
    b"GET ", b"POST ", b"TRACE ", b"-1", b"99999999999999999999", b"x" * 300,
)  # fmt: skip


def _flip(chance: random.Random, data: bytearray) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _replace(chance: random.Random, data: bytearray) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def _insert(chance: random.Random, data: bytearray) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = chance.choice(PIECES)


def _delete(chance: random.Random, data: bytearray) -> None:
    at = chance.randint(0, len(data))
    del data[at : at + chance.choice((1, 1, 2, 5, 20))]


def _repeat(chance: random.Random, data: bytearray) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = data[at : at + chance.randint(1, 40)] * chance.choice((1, 1, 2, 20))


def _cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randint(0, len(data)) :]


def _swap_lines(chance: random.Random, data: bytearray) -> None:
    lines = bytes(data).split(b"\r\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    data[:] = b"\r\n".join(lines)


_CHANGES: Final[Sequence[Callable[[random.Random, bytearray], None]]] = (
    _flip, _replace, _replace, _insert, _insert, _insert, _delete, _repeat, _cut, _swap_lines,
)  # fmt: skip


def mutate(chance: random.Random, valid: bytes, *, keep: int = 0) -> bytes:
    """Return a request with one to four changes.

    Args:
        chance: where the changes come from.
        valid: what is changed.
        keep: so many bytes at the start stay as they are.
    """
    data = bytearray(valid[keep:])
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        chance.choice(_CHANGES)(chance, data)
    return valid[:keep] + bytes(data)
