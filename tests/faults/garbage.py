"""Answers of a broken service, as bytes, and what becomes of them at the gateway."""

from collections.abc import Mapping
from typing import Final

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_TWO: Final = b"Content-Length: 2\r\n\r\nhi"
_CHUNKED: Final = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_CHUNK: Final = b"2\r\nhi\r\n"
_END: Final = b"0\r\n\r\n"

# Nothing of these reaches a client: 502, as problem details. Behind each the service closes the connection.
REFUSED: Final[Mapping[str, bytes]] = {
    # No HTTP at all; nginx alone would take these for HTTP/0.9 and hand them on.
    "text": b"garbage\r\n\r\nmore",
    "a page without a head": b"<html>hello</html>\n",
    "NUL bytes": b"\0" * 1000,
    "bytes of every kind": bytes(range(256)) * 64,
    "an alert of TLS": b"\x15\x03\x01\x00\x02\x02\x28",
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "settings of HTTP/2": b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64",
    "a megabyte of letters": b"a" * 1_000_000,
    # Status lines.
    "a blank line before the answer": b"\r\n" + _OK + _TWO,
    "a chunk before the answer": _CHUNK + _OK + _TWO,
    "the name of the protocol in small letters": b"http/1.1 200 OK\r\n" + _TWO,
    "no status": b"HTTP/1.1\r\n" + _TWO,
    "a status of letters": b"HTTP/1.1 abc OK\r\n" + _TWO,
    "a status of two digits": b"HTTP/1.1 20 OK\r\n" + _TWO,
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n" + _TWO,
    "a negative status": b"HTTP/1.1 -200 OK\r\n" + _TWO,
    "status 000": b"HTTP/1.1 000 OK\r\n" + _TWO,
    "status 009": b"HTTP/1.1 009 OK\r\n" + _TWO,
    "status 099": b"HTTP/1.1 099 OK\r\n" + _TWO,
    "a bare CR in the reason": b"HTTP/1.1 200 O\rK\r\n" + _TWO,
    "a reason of 100 KB": b"HTTP/1.1 200 " + b"a" * 100_000 + b"\r\n" + _TWO,
    # Interim answers; nginx alone would take the first for the answer, and the answer for its body.
    "100, and an answer": b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + _TWO,
    "103, and an answer": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + _OK + _TWO,
    "a flood of 102": b"HTTP/1.1 102 Processing\r\n\r\n" * 10_000 + _OK + _TWO,
    "100, and no answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a switch that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\nhi",
    # Header lines.
    "a header line without a name": _OK + b": x\r\n" + _TWO,
    "a space in a name": _OK + b"X A: x\r\n" + _TWO,
    "a space before a colon": _OK + b"X-A : x\r\n" + _TWO,
    "a space before the colon of a length": _OK + b"Content-Length : 2\r\n\r\nhi",
    "a folded line": _OK + b"X-A: a\r\n b\r\n" + _TWO,
    "a first line that is folded": _OK + b" X-A: a\r\n" + _TWO,
    "a NUL in a name": _OK + b"X\0A: a\r\n" + _TWO,
    "a NUL in a value": _OK + b"X-A: a\0b\r\n" + _TWO,
    "a control character in a name": _OK + b"X\x01A: a\r\n" + _TWO,
    "a bare CR in a value": _OK + b"X-A: a\rX-B: b\r\n" + _TWO,
    "a header line of 100 KB": _OK + b"X-A: " + b"a" * 100_000 + b"\r\n" + _TWO,
    "5,000 header lines": _OK + b"".join(b"X-%d: a\r\n" % n for n in range(5000)) + _TWO,
    "header lines without an end": _OK + b"X-A: a\r\n" * 100_000,
    # Too little.
    "nothing": b"",
    "a letter": b"H",
    "half a status line": b"HTTP/1.1 20",
    "a status line": b"HTTP/1.1 200 OK\r\n",
    "half a header line": _OK + b"X-A: b\r\nConte",
    "a head without its last byte": _OK + b"Content-Length: 2\r\n\r",
}

# nginx reads these its own way and frames what it read anew: the client has one answer of one length, whose
# body is "hi", and nothing behind it.
REFRAMED: Final[Mapping[str, bytes]] = {
    "a NUL in the reason": b"HTTP/1.1 200 O\0K\r\n" + _TWO,
    "no reason": b"HTTP/1.1 200\r\n" + _TWO,
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n" + _TWO,
    "HTTP/9.9": b"HTTP/9.9 200 OK\r\n" + _TWO,
    "a header line without a colon": _OK + b"X-Nothing\r\n" + _TWO,
    "the same length twice": _OK + b"Content-Length: 2\r\n" + _TWO,
    # RFC 9112 section 6.3 asks for a 502 where lengths differ; nginx takes the last.
    "a longer length first": _OK + b"Content-Length: 20\r\n" + _TWO,
    # A length that is none is none: the answer ends with its connection.
    "a list of lengths": _OK + b"Content-Length: 2, 2\r\n\r\nhi",
    "length -1": _OK + b"Content-Length: -1\r\n\r\nhi",
    "length -5": _OK + b"Content-Length: -5\r\n\r\nhi",
    "length +2": _OK + b"Content-Length: +2\r\n\r\nhi",
    "length 2x": _OK + b"Content-Length: 2x\r\n\r\nhi",
    "length 0x2": _OK + b"Content-Length: 0x2\r\n\r\nhi",
    "no length in a length": _OK + b"Content-Length: \r\n\r\nhi",
    "a length past 64 bits": _OK + b"Content-Length: 99999999999999999999999\r\n\r\nhi",
    "a length that is 2 in 64 bits": _OK + b"Content-Length: 18446744073709551618\r\n\r\nhi",
    # Chunks count where there are both (RFC 9112 section 6.3).
    "a length, and chunks": _OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNK + _END,
    "chunks, and a length": _OK + b"Transfer-Encoding: chunked\r\nContent-Length: 20\r\n\r\n" + _CHUNK + _END,
    "chunked twice": _OK + b"Transfer-Encoding: chunked\r\n" + _CHUNKED[len(_OK) :] + _CHUNK + _END,
    "chunks in HTTP/1.0": _CHUNKED.replace(b"1.1", b"1.0") + _CHUNK + _END,
    "a trailer": _CHUNKED + _CHUNK + b"0\r\nX-T: a\r\n\r\n",
    "an extension of a chunk": _CHUNKED + b"2;a=b\r\nhi\r\n" + _END,
    "more than its length": _OK + _TWO + b"more",
    "more than its last chunk": _CHUNKED + _CHUNK + _END + b"more",
    "another answer behind it": _OK + _TWO + _OK + b"Content-Length: 4\r\n\r\nevil",
}

# The client has the beginning of these, if anything, and can tell that it is not whole.
BROKEN: Final[Mapping[str, bytes]] = {
    "a shorter length first": _OK + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\nhi",
    "a length of 2^62": _OK + b"Content-Length: 4611686018427387904\r\n\r\nhi",
    "half of a chunk": _CHUNKED + b"ff\r\nhi",
    "no last chunk": _CHUNKED + _CHUNK,
    "half of the last chunk": _CHUNKED + _CHUNK + b"0\r\n",
    "no chunk": _CHUNKED,
}
# The same, of chunks that can't be read. To nginx their end looks like a client's that went, so the error log
# tells of it, and no event.
UNREADABLE: Final[Mapping[str, bytes]] = {
    "a chunk's size of letters": _CHUNKED + b"xyz\r\nhi\r\n" + _END,
    "a negative size": _CHUNKED + b"-2\r\nhi\r\n" + _END,
    "no size": _CHUNKED + b"\r\nhi\r\n" + _END,
    "a size past 64 bits": _CHUNKED + b"fffffffffffffffff\r\nhi\r\n" + _END,
    "a size of 2^63 less 1": _CHUNKED + b"7fffffffffffffff\r\nhi\r\n" + _END,
    "more than a chunk's size": _CHUNKED + b"2\r\nhiXX0\r\n\r\n",
    "a second chunk's size of letters": _CHUNKED + _CHUNK + b"zz\r\n\r\n",
    "a page in place of chunks": _CHUNKED + b"<html>hello</html>\n",
}
