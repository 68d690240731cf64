"""The services behind the gateway: whether they accept connections yet."""

import socket
from typing import Final
from urllib.parse import urlsplit

from bartizan.policy import Policy

_PORTS: Final = {"http": 80, "https": 443}
_PATIENCE: Final = 1.0


def unreachable(policy: Policy) -> str | None:
    """Return the URL of a server or key set that accepts no connection, or None where all do.

    An upstream counts as reachable as soon as one of its servers is: nginx goes round the others.
    """
    groups = [[str(server) for server in upstream.servers] for upstream in policy.upstreams.values()]
    groups += [[str(issuer.jwks)] for issuer in policy.issuers.values()]
    return next((urls[0] for urls in groups if not any(map(_accepts, urls))), None)


def _accepts(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or _PORTS[parts.scheme]), _PATIENCE).close()
    except OSError:
        return False
    return True
