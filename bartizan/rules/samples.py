"""Harmless values, by which the compiler sees which of a rule's questions says yes the least often.

They decide nothing about what is detected: a bad guess costs time and no more.
"""

import re
import warnings
from functools import lru_cache
from typing import Final

from bartizan.rules import hyperscan
from bartizan.rules.patterns import Patterns

_AGENT: Final = (
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
)
_ACCEPT: Final = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_TEXTS: Final = (
    b"red", b"42", b"hello world", b"jane.doe@example.com", b"2026-01-31", b"Order 66 (new)", b"a=b",
    b"it's fine",
    b"The quick brown fox jumps over the lazy dog; it was a fine day, and no one minded.",
    b"https://www.example.com/news?page=2&sort=asc", b"0123456789abcdef", b"Line one\nline two\n", b"true",
)  # fmt: skip
_NAMES: Final = (b"q", b"page", b"user_id", b"items[0].price", b"json.order.lines.array_0.sku", b"_csrf")
_HEADERS: Final = {
    "host": (b"www.example.com", b"localhost:8443"),
    "user-agent": (_AGENT, b"curl/8.5.0", b"python-httpx/0.28.1"),
    "accept": (_ACCEPT, b"*/*", b"application/json"),
    "accept-encoding": (b"gzip, deflate, br",),
    "accept-language": (b"en-GB,en;q=0.5",),
    "content-type": (b"application/json", b"application/x-www-form-urlencoded"),
    "content-length": (b"350",),
    "cookie": (b"session=0123456789abcdef; theme=dark",),
    "referer": (b"https://www.example.com/news?page=2",),
    "connection": (b"keep-alive",),
    "authorization": (b"Bearer eyJhbGciOiJSUzUxMiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",),
}  # fmt: skip
_PATHS: Final = (b"/", b"/api/users/7", b"/news/2026/index.html", b"/search?q=hello+world&page=2")
_VALUES: Final[dict[str, tuple[bytes, ...]]] = {
    "ARGS": _TEXTS,
    "ARGS_NAMES": _NAMES,
    "QUERY_STRING": (b"", b"q=hello+world&page=2"),
    "REMOTE_ADDR": (b"192.0.2.7",),
    "REQBODY_PROCESSOR": (b"", b"URLENCODED", b"JSON"),
    "REQUEST_BASENAME": (b"", b"7", b"index.html", b"search"),
    "REQUEST_BODY": (b"", b"name=Jane+Doe&age=42", b'{"name": "Jane Doe", "age": 42}'),
    "REQUEST_BODY_LENGTH": (b"0", b"350"),
    "REQUEST_COOKIES": (b"0123456789abcdef", b"dark"),
    "REQUEST_COOKIES_NAMES": (b"session", b"theme"),
    "REQUEST_FILENAME": (b"/", b"/api/users/7", b"/news/2026/index.html"),
    "REQUEST_HEADERS": tuple(value for values in _HEADERS.values() for value in values),
    "REQUEST_HEADERS_NAMES": tuple(name.encode() for name in _HEADERS),
    "REQUEST_LINE": tuple(b"GET " + path + b" HTTP/1.1" for path in _PATHS),
    "REQUEST_METHOD": (b"GET", b"GET", b"GET", b"HEAD", b"POST"),
    "REQUEST_PROTOCOL": (b"HTTP/1.1", b"HTTP/2.0"),
    "REQUEST_URI": _PATHS,
    "REQUEST_URI_RAW": _PATHS,
}
_ALWAYS_SENT: Final = frozenset({"host", "user-agent", "accept", "accept-encoding", "connection"})
_OFTEN_SENT: Final = frozenset(
    {"content-type", "content-length", "cookie", "referer", "authorization", "accept-language"}
)
SAMPLED: Final = tuple(_VALUES)


def how_often_sent(selector: str) -> float:
    """Return how often a request has a header of a name, from 0 to 1; 1 where no name is given."""
    if not selector or selector in _ALWAYS_SENT:
        return 1.0
    return 0.5 if selector in _OFTEN_SENT else 0.01


def share_of_samples(collection: str | list[str], selector: str, patterns: Patterns) -> float:
    """Return which share of harmless values has a hit, from 0 to 1.

    Args:
        collection: whose values, or those of several.
        selector: of the member with this name, in lower case; empty for all.
        patterns: what may hit.
    """
    if isinstance(collection, list):
        return _share(patterns, tuple(value for name in collection for value in samples_of(name, "")))
    return _share(patterns, samples_of(collection, selector))


def samples_of(collection: str, selector: str) -> tuple[bytes, ...]:
    """Return harmless values of a collection, or of its member with a name in lower case."""
    return _HEADERS.get(selector, _TEXTS) if selector else _VALUES.get(collection, _TEXTS)


@lru_cache(maxsize=4096)
def _share(patterns: Patterns, values: tuple[bytes, ...]) -> float:
    found = [
        pattern for expression in patterns.expressions if (pattern := _readable(*expression)) is not None
    ]
    return sum(any(pattern.search(value) for pattern in found) for value in values) / len(values)


@lru_cache(maxsize=65536)
def _readable(pattern: bytes, flags: int) -> re.Pattern[bytes] | None:
    """Return a pattern as Python understands it; None where it does not, as of much that only PCRE has."""
    begins = re.match(rb"\(\?i\)", pattern)
    meant = re.DOTALL | (re.IGNORECASE if begins or flags & hyperscan.CASELESS else 0)
    if flags & hyperscan.MULTILINE:
        meant |= re.MULTILINE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Python may mean otherwise one day
            return re.compile(pattern[begins.end() :] if begins else pattern.replace(b"\\z", b"\\Z"), meant)
    except (re.error, OverflowError):
        return None
