"""Scopes (RFC 6749 section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from tokendealer.rfc6749.errors import OAuthError, PublicError

SCOPE_NAME = r"[\x21\x23-\x5b\x5d-\x7e]+"


def grant_scope(requested: str | None, registered: Sequence[str]) -> tuple[str, ...]:
    """Return the scopes that a token gets: those asked for, or all that the client is registered for.

    Asking for more is refused and never silently less, so that a client that holds a token knows what it can
    do.

    Args:
        requested: The `scope` parameter, None if there is none.
        registered: The client's scopes.

    Raises:
        OAuthError: The parameter is malformed, or asks for more than is registered.
    """
    if requested is None:
        return tuple(registered)
    asked = requested.split(" ")
    if not all(re.fullmatch(SCOPE_NAME, scope) for scope in asked):
        raise OAuthError(PublicError.INVALID_SCOPE, "malformed scope")
    if not _within(asked, registered):
        raise OAuthError(PublicError.INVALID_SCOPE, "more scope than registered")
    return tuple(dict.fromkeys(asked))


def _within(asked: Collection[str], registered: Collection[str]) -> bool:
    return set(registered).issuperset(asked)
