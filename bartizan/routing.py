"""Which route takes a request: the decision of the edge, for people to ask about before a request is made.

`lua/bartizan/target.lua` and `lua/bartizan/router.lua` decide; a test holds the two together.
"""

import re
from collections.abc import Iterator
from typing import Final

from bartizan.policy import ResolvedRoute

# RFC 3986 section 3.3: what stands in a path as it is, and is the same percent-encoded.
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@")
_ENCODED_BY_THE_GATEWAY: Final = frozenset(b'"<>[]^`{|}')


class NotCanonicalError(ValueError):
    """A path that two servers could read differently; the message says what is in it."""


def canonical_path(raw: str) -> str:
    """Return the path by which routes are found.

    Raises:
        NotCanonicalError: the edge refuses to read it.
    """
    path = "".join(_spelled(raw.encode("utf-8", "surrogateescape"))) or "/"
    decoded = re.sub(rb"%([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), path.encode())
    try:
        decoded.decode("utf-8")
    except UnicodeDecodeError:
        raise NotCanonicalError("percent-encoded bytes that are not UTF-8") from None
    if "//" in path:
        raise NotCanonicalError("an empty segment (//) in the path")
    if {".", ".."} & set(path.split("/")):
        raise NotCanonicalError("a dot segment in the path")
    if re.search(r"/\.{1,2};|/;[^/]*/", path):
        raise NotCanonicalError("a dot segment or an empty one, with parameters, in the path")
    return path


def _spelled(rest: bytes) -> Iterator[str]:
    while rest:
        byte, rest = rest[0], rest[1:]
        if byte == ord("%"):
            digits = rest[:2].decode("ascii", "replace")
            if not re.fullmatch(r"[0-9A-Fa-f]{2}", digits):
                raise NotCanonicalError("a % without two hex digits")
            byte, rest = int(digits, 16), rest[2:]
            if byte < 0x20 or byte in b"/\\\x7f":
                raise NotCanonicalError(f"%{byte:02X} in the path")
            yield chr(byte) if byte in _PLAIN else f"%{byte:02X}"
        elif byte in _ENCODED_BY_THE_GATEWAY:
            yield f"%{byte:02X}"
        elif byte in _PLAIN or byte == ord("/"):
            yield chr(byte)
        else:
            raise NotCanonicalError(f"byte 0x{byte:02x} in the path")


def match(
    routes: tuple[ResolvedRoute, ...], host: str, path: str, method: str
) -> tuple[ResolvedRoute | None, tuple[str, ...]]:
    """Find the route of a request.

    Returns:
        The route and nothing; or None and the methods that the path is served for, if it is at all.
    """
    closest = _closest(routes, host, path)
    # Some services take "/admin;x" for "/admin": both readings must lead to the same routes.
    if ";" in path and _closest(routes, host, re.sub(r";[^/]*", "", path)) != closest:
        return None, ()
    taken = next((route for route in closest if method in route.methods), None)
    return taken, () if taken else tuple(sorted({name for route in closest for name in route.methods}))


def _closest(routes: tuple[ResolvedRoute, ...], host: str, path: str) -> list[ResolvedRoute]:
    """Return the routes that share the most specific path: none falls through to a broader one's guards."""
    for for_host in (True, False):
        covering = [
            route
            for route in routes
            if (host in route.hosts if for_host else not route.hosts) and covers(route, path)
        ]
        if covering:
            best = max(_closeness(route) for route in covering)
            return [route for route in covering if _closeness(route) == best]
    return []


def covers(route: ResolvedRoute, path: str) -> bool:
    """Return whether a route is for a path, whatever the host and method."""
    if route.match == "exact":
        return path == route.path
    return route.path in {"/", path} or path.startswith(f"{route.path}/")


def _closeness(route: ResolvedRoute) -> tuple[bool, int]:
    return route.match == "exact", len(route.path)
