"""From the request's headers to the one bearer token in them (RFC 6750 section 2.1)."""

import re
from collections.abc import Sequence

from upstream.tokens.refusal import InvalidRequestError, InvalidTokenError, TokenMissingError

MAX_TOKEN_BYTES = 8192

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def read(authorization: Sequence[str]) -> str:
    """Take the token out of the Authorization headers.

    Args:
        authorization: the values of all Authorization headers of the request.

    Returns:
        The token: three parts of base64url, not longer than MAX_TOKEN_BYTES.

    Raises:
        TokenMissingError: there is no header, or it is of another scheme.
        InvalidRequestError: there is more than one header.
        InvalidTokenError: what follows `Bearer` has not a token's form.
    """
    if not authorization:
        raise TokenMissingError("no Authorization header")
    if len(authorization) > 1:
        raise InvalidRequestError("more than one Authorization header")
    scheme, separator, token = authorization[0].partition(" ")
    # RFC 9110 section 11.1: a scheme's name is compared without regard to case.
    if scheme.lower() != "bearer" or not separator:
        raise TokenMissingError("another authentication scheme than Bearer")
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidTokenError("token longer than 8 KiB")
    if _TOKEN.fullmatch(token) is None:
        raise InvalidTokenError("not three parts of base64url")
    return token
