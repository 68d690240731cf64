"""Resource indicators (RFC 8707): which service a token is for.

The book's name for it is `audience`, and the demo's audiences are plain names such as `data`; `resource` is
the standard's name and takes absolute URIs only. Both choose among the audiences that the client is
registered for.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from tokendealer.rfc6749.errors import OAuthError, PublicError


def choose_audience(audience: str | None, resources: Sequence[str], registered: Sequence[str]) -> str:
    """Return the one audience of the token.

    A token for two services could be used by each of them at the other, so a request that names two is
    refused (section 2 leaves that to the service). If none is named, a client of one audience gets that one
    (RFC 9068 section 3), and a client of several has to say which.

    Args:
        audience: The `audience` parameter, None if there is none.
        resources: The values of `resource`.
        registered: The client's audiences.

    Raises:
        OAuthError: None, two, or one that is malformed or not this client's.
    """
    wanted = set(resources) | ({audience} if audience is not None else set())
    if not all(_is_resource(resource) for resource in resources):
        raise OAuthError(
            PublicError.INVALID_TARGET, "a resource that is not an absolute URI without a fragment"
        )
    if len(wanted) > 1:
        raise OAuthError(PublicError.INVALID_TARGET, "more than one audience")
    if not wanted:
        if len(registered) != 1:
            raise OAuthError(
                PublicError.INVALID_TARGET, "no audience named, and the client has not exactly one"
            )
        return registered[0]
    (choice,) = wanted
    if choice not in registered:
        raise OAuthError(PublicError.INVALID_TARGET, "an audience that is not the client's")
    return choice


def _is_resource(text: str) -> bool:
    # Section 2: an absolute URI (RFC 3986 section 4.3), no fragment.
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) and bool(parts.netloc or parts.path) and "#" not in text
