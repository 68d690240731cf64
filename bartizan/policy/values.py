"""How single values are written in a policy, and what they mean.

Each reader takes what YAML gave and returns the meaning, or raises a ValueError that says what is allowed.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from bartizan.policy.formats import Format
from bartizan.ranges import RangesError, read_network

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_SIZE: Final = re.compile(r"(\d{1,9})(B|KiB|MiB|GiB)", re.ASCII)
_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_FREQUENCY: Final = re.compile(r"(\d{1,9})/([smh])", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)  # RFC 9110 section 5.6.2
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"(?:{_LABEL})(?:\.{_LABEL})*", re.ASCII)
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
# RFC 3986 pchar without percent-encoding, without `*`, which people write where they mean a prefix, and
# without `;`, behind which some services see parameters.
_PATH: Final = re.compile(r"[A-Za-z0-9._~!$&'()+,=:@/-]*", re.ASCII)

_NETWORK: Final = "an IP address, or a network as address/prefix"


@dataclass(frozen=True, slots=True)
class Frequency:
    """So many in a period of so many seconds; written `200/s`, `10/m` or `100/h`."""

    count: int
    period: int

    def __str__(self) -> str:
        return f"{self.count}/{ {1: 's', 60: 'm', 3600: 'h'}[self.period] }"


def read_duration(value: Any) -> float:
    """Return seconds."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a duration; write a number and its unit, such as 500ms, 5s, 2m or 1h")
    return round(float(match[1]) * _SECONDS[match[2]], 6)


def whole_seconds(seconds: float) -> float:
    """Check what nginx or a header takes in whole seconds only."""
    if seconds % 1:
        raise ValueError("is not a number of whole seconds; write such as 1s, 90s or 2m")
    return seconds


def write_duration(seconds: float) -> str:
    """Write seconds as they stand in a policy."""
    if seconds == 0:
        return "0s"
    for unit, length in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= length and seconds % length == 0:
            return f"{round(seconds / length)}{unit}"
    return f"{round(seconds * 1000)}ms"


def read_size(value: Any) -> int:
    """Return bytes."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            "is not a size; write a whole number and its unit, such as 512B, 64KiB, 1MiB or 1GiB"
        )
    size = int(match[1]) * _BYTES[match[2]]
    if not 1 <= size <= 1 << 40:
        raise ValueError("is not a cap; a body cap is from 1B to 1024GiB")
    return size


def write_size(size: int) -> str:
    """Write bytes as they stand in a policy."""
    for unit in ("GiB", "MiB", "KiB"):
        if size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def read_frequency(value: Any) -> Frequency:
    """Return a frequency."""
    match = _FREQUENCY.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 1 <= int(match[1]) <= 1_000_000:
        raise ValueError(
            "is not a rate; write 1 to 1000000 per second, minute or hour, such as 200/s, 10/m or 100/h"
        )
    return Frequency(int(match[1]), {"s": 1, "m": 60, "h": 3600}[match[2]])


def read_network_text(value: str) -> str:
    """Check one address or network, which stays as it was written."""
    try:
        read_network(value)
    except RangesError as error:
        raise ValueError(str(error)) from error
    return value


def read_proxy(value: str) -> str:
    """Check one address or network of trusted proxies."""
    read_network_text(value)
    if value.endswith("/0"):
        raise ValueError(f"{value} would let any client claim any address; name the proxies' own addresses")
    return value


def read_by(value: Any) -> str:
    """Check what a limit counts by; header names are folded to lower case."""
    if isinstance(value, str):
        if value in {"address", "client"}:
            return value
        kind, colon, name = value.partition(":")
        if kind == "header" and colon and _TOKEN.fullmatch(name):
            return f"header:{name.lower()}"
    raise ValueError(
        "is not something to count by; allowed: address, client, header:NAME (such as header:x-api-key)"
    )


def read_header_name(value: str) -> str:
    """Check a header's name."""
    if not _TOKEN.fullmatch(value):
        raise ValueError("is not a header name")
    return value.lower()


def read_name(value: str) -> str:
    """Check the name of an upstream or issuer."""
    if not _NAME.fullmatch(value):
        raise ValueError("is not a name; use small letters, digits, - and _, beginning with a letter")
    return value


def read_host(value: str) -> str:
    """Check a host name of a route, as it stands in a Host header without the port."""
    lowered = value.lower()
    if "*" in value:
        raise ValueError("has a wildcard; name each host, or leave hosts out to match any")
    if lowered.startswith("[") and lowered.endswith("]"):
        try:
            return f"[{ip_address(lowered[1:-1]).compressed}]"
        except ValueError:
            pass
    elif len(lowered) <= 253 and _HOST.fullmatch(lowered):
        return lowered
    raise ValueError("is not a host name; write it without scheme and port, such as api.example.com")


def read_path(value: str) -> str:
    """Check that a route's path is in the one canonical form that requests are judged in."""
    if not value.startswith("/"):
        raise ValueError(
            f"does not begin with /; write /{value.lstrip('/')}" if value else "is empty; write / for all"
        )
    if "*" in value:
        raise ValueError(
            "has a wildcard; a prefix covers all that lies under it: write prefix: /api, not /api/*"
        )
    if not _PATH.fullmatch(value):
        raise ValueError(
            "has characters that are not allowed; use letters, digits and / - . _ ~ ! $ & ' ( ) + , = : @"
        )
    segments = value.split("/")[1:]
    if "" in segments[:-1]:
        raise ValueError("has // in it, which no request that passes has; write single slashes")
    if "." in segments or ".." in segments:
        raise ValueError(
            "has . or .. as a segment, which no request that passes has; write the path that is meant"
        )
    return value


def split_url(value: str, schemes: tuple[str, ...] = ("http", "https")) -> SplitResult:
    """Split an absolute URL and check what every URL of a policy has in common."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {str(error)[:1].lower()}{str(error)[1:]}") from error
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"is not a URL; it begins with {wanted} and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or password; a policy holds no secrets")
    if port == 0 or re.search(r"[\x00-\x20\x7f-\U0010ffff\"'\\{};$]", value):
        raise ValueError(
            "is not a URL that can be used: a port is from 1 to 65535, special characters are percent-encoded"
        )
    host = parts.hostname
    if ":" in host:
        ip_address(host)
    elif not _HOST.fullmatch(host):
        raise ValueError(f"has the host {host!r}, which is not a host name")
    return parts


def read_file(value: Any, info: ValidationInfo) -> Path:
    """Return the path of a file; it is relative to the policy's folder."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("is not a path; write the path of a file, relative to the policy file")
    folder = info.context["folder"] if info.context else Path()
    return Path(folder, value).absolute()


Duration = Annotated[
    float,
    BeforeValidator(read_duration),
    Format(
        "duration",
        "a number and its unit: `ms`, `s`, `m` or `h`",
        ("500ms", "5s", "2m", "1h"),
        r"^\d{1,9}(\.\d{1,3})?(ms|s|m|h)$",
        write_duration,
    ),
]
WholeSeconds = Annotated[Duration, AfterValidator(whole_seconds)]
Size = Annotated[
    int,
    BeforeValidator(read_size),
    Format(
        "size",
        "a whole number and its unit: `B`, `KiB`, `MiB` or `GiB`; from 1B to 1024GiB",
        ("64KiB", "1MiB", "1GiB"),
        r"^\d{1,9}(B|KiB|MiB|GiB)$",
        write_size,
    ),
]
Rhythm = Annotated[
    Frequency,
    BeforeValidator(read_frequency),
    Format(
        "frequency",
        "1 to 1000000 a second (`/s`), minute (`/m`) or hour (`/h`)",
        ("200/s", "10/m", "100/h"),
        r"^\d{1,7}/[smh]$",
    ),
]
Cidr = Annotated[
    str, AfterValidator(read_network_text), Format("network", _NETWORK, ("192.0.2.7", "2001:db8::/32"))
]
Proxy = Annotated[str, AfterValidator(read_proxy), Format("network", _NETWORK, ("10.0.0.0/8", "192.0.2.7"))]
By = Annotated[
    str,
    BeforeValidator(read_by),
    Format(
        "subject",
        "`address` (of IPv6 the /64), `client` (the token's), or `header:NAME`",
        ("address", "client", "header:x-api-key"),
        r"^(address|client|header:[A-Za-z0-9!#$%&'*+.^_`|~-]+)$",
    ),
]
HeaderName = Annotated[
    str,
    AfterValidator(read_header_name),
    Format("header name", "the name of a header field", ("X-Request-Id",), rf"^{_TOKEN.pattern}$"),
]
Name = Annotated[
    str,
    AfterValidator(read_name),
    Format(
        "name",
        "small letters, digits, `-` and `_`, beginning with a letter; at most 63",
        ("data",),
        rf"^{_NAME.pattern}$",
    ),
]
Host = Annotated[
    str,
    AfterValidator(read_host),
    Format("host", "a host name or address, without scheme and port", ("api.example.com",)),
]
RoutePath = Annotated[
    str,
    AfterValidator(read_path),
    Format(
        "path",
        "begins with `/`; letters, digits and `/ - . _ ~ ! $ & ' ( ) + , = : @`, without `//`, `.` and `..`",
        ("/api/users",),
        rf"^/{_PATH.pattern}$",
    ),
]
File = Annotated[
    Path,
    BeforeValidator(read_file),
    Format("file", "a path, relative to the policy file", ("certs/fullchain.pem",)),
]
