"""What the tests of the listeners share: a policy of one public route, two hosts, and what an answer says."""

from typing import Any, Final

from tests.support.backend import Backend
from tests.support.raw import status_of
from tests.support.wire import fields_of

TWO_HOSTS_AND_ANY: Final[list[dict[str, Any]]] = [
    {"prefix": "/api", "methods": ["GET"], "upstream": "data", "auth": "none"},
    {
        "prefix": "/",
        "methods": ["GET"],
        "upstream": "data",
        "auth": "none",
        "hosts": ["shop.example", "blog.example"],
    },
]


def policy(backend: Backend, **more: Any) -> dict[str, Any]:
    """Return a policy of one public route, or of what `more` has in place of it."""
    route = {"prefix": "/", "methods": ["GET", "POST"], "upstream": "data", "auth": "none"}
    return {
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {"rate": {"limit": "100000/s", "burst": 100000}},
        "routes": [route],
        **more,
    }


def answer(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return the status, the header fields and the body of a raw answer."""
    return status_of(raw), dict(fields_of(raw)), raw.partition(b"\r\n\r\n")[2]
