"""Which Location values a response may carry: the service's own paths, and the origins on the safe list.

A browser reads a Location by the URL standard of WHATWG, which drops tabs and line ends, takes a backslash
for a slash and needs no slashes after `https:`. Python's urllib reads by RFC 3986. What the two read
differently is the attack, so nothing here parses leniently: a value of any other form than the two plain ones
is refused.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

DEFAULT_PORTS = {"http": 80, "https": 443}

# What RFC 3986 admits in a URI: no space, no control character, no backslash, nothing outside ASCII.
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

# No userinfo, no percent sign and no trailing dot in the host, no empty or zero-padded port. A host beyond
# ASCII can only stand here in its xn-- form, which equals an entry of the safe list or does not.
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(?P<port>[1-9][0-9]{0,4}))?",
    re.IGNORECASE | re.ASCII,
)

# Deeper nested escapes than this have no honest use.
_DECODING_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port (RFC 6454): what a redirect target is compared by.

    Attributes:
        scheme: `http` or `https`.
        host: in lower case; an IPv6 address in brackets.
        port: always set, the scheme's default where the text named none.
    """

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an origin such as `https://github.com` or `http://[::1]:8080`.

        Raises:
            ValueError: the text is anything more or less than scheme, host and port.
        """
        match = _ORIGIN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not an origin; write it as https://host or https://host:port")
        return cls._from_match(match)

    @classmethod
    def _from_match(cls, match: re.Match[str]) -> Self:
        scheme = match["scheme"].lower()
        port = int(match["port"]) if match["port"] else DEFAULT_PORTS[scheme]
        return cls(scheme, match["host"].lower(), port)


def is_safe(location: str, safe: Collection[Origin]) -> bool:
    """Say whether a Location may be sent.

    Args:
        location: the header's value, byte for byte.
        safe: the origins that may be redirected to.

    Returns:
        True for an absolute path of this service (`/users?x=1`) and for an http(s) URL whose scheme, host and
        port are on the safe list; False for all else.
    """
    if _URI_CHARACTERS.fullmatch(location) is None:
        return False
    decoded = _decode(location)
    if decoded is None or any(character < " " or character == "\x7f" for character in decoded):
        return False
    if location.startswith("/"):
        return _is_plain_path(location)
    match = _ORIGIN.match(location)
    if match is None:
        return False
    rest = location[match.end() :]
    return rest[:1] in {"", "/", "?", "#"} and Origin._from_match(match) in safe


def _is_plain_path(location: str) -> bool:
    path = _decode(re.split(r"[?#]", location, maxsplit=1)[0])
    # `//host` and, to a browser, `/\host` name another host. Empty and dot segments are refused wherever they
    # stand: whoever resolves them next may end with `//host` after all (`/.//host`, `/a/..//host`).
    if path is None or "//" in path or "\\" in path:
        return False
    return not any(segment in {".", ".."} for segment in path.split("/"))


def _decode(text: str) -> str | None:
    """Take off percent-encoding until none is left; None if it is malformed or nested without end."""
    if _BAD_ESCAPE.search(text):
        return None
    for _ in range(_DECODING_ROUNDS):
        decoded = unquote(text, encoding="latin-1")
        if decoded == text:
            return text
        text = decoded
    return None
