"""Harmless values, by which the compiler sees which of a rule's questions says yes the least often.

They decide nothing about what is detected: a bad guess costs time and no more.
"""

from functools import lru_cache
from typing import Final

from bartizan.rules.hyperscan import Expression, Scanner
from bartizan.rules.model import Link
from bartizan.rules.patterns import Patterns

_AGENT: Final = (
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
)
_ACCEPT: Final = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_TEXTS: Final = (
    b"red", b"42", b"hello world", b"jane.doe@example.com", b"2026-01-31", b"Order 66 (new)", b"a=b", b"it's fine",
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
    "REQUEST_METHOD": (b"GET", b"POST"),
    "REQUEST_PROTOCOL": (b"HTTP/1.1", b"HTTP/2.0"),
    "REQUEST_URI": _PATHS,
    "REQUEST_URI_RAW": _PATHS,
}
_ALWAYS_SENT: Final = frozenset({"host", "user-agent", "accept", "accept-encoding", "connection"})
_OFTEN_SENT: Final = frozenset(
    {"content-type", "content-length", "cookie", "referer", "authorization", "accept-language"}
)
_NEGATED: Final = 0.1
_TRUE_OFTEN: Final = frozenset({"gt", "ge", "lt", "le", "eq"})


def share_of_samples(collection: str, selector: str, patterns: Patterns | None, link: Link) -> float:
    """Return which share of requests a question is expected to say yes to, from 0 to 1.

    Args:
        collection: what it is asked of.
        selector: the member, in lower case; empty for all.
        patterns: what stands for it; None where the operator itself is asked, or a value need only be there.
        link: where it stands.
    """
    sent = 1.0
    if selector:
        sent = 1.0 if selector in _ALWAYS_SENT else 0.5 if selector in _OFTEN_SENT else 0.01
    if patterns is None:
        operator = link.operator
        if operator is None or any(variable.count for variable in link.variables):
            return sent
        often = operator.name in _TRUE_OFTEN and not operator.negated
        return sent * (0.5 if often else _NEGATED)
    values = _HEADERS.get(selector, _TEXTS) if selector else _VALUES.get(collection, _TEXTS)
    if "lowercase" in link.transformations:
        values = tuple(value.lower() for value in values)
    return sent * _share(patterns, values)


@lru_cache(maxsize=4096)
def _share(patterns: Patterns, values: tuple[bytes, ...]) -> float:
    if not patterns.expressions:
        return 0.0
    scanner = Scanner([Expression(1, pattern, flags) for pattern, flags in patterns.expressions])
    try:
        return sum(bool(scanner.numbers(value)) for value in values) / len(values)
    finally:
        scanner.close()
