"""Access tokens as JSON Web Tokens (RFC 9068): what is put into them, and how one is verified here."""

from __future__ import annotations

import json
import re
import secrets
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from tokendealer.keys import KeyRing, SigningKey
from tokendealer.rfc6749.errors import OAuthError, PublicError

TYP = "at+jwt"  # section 2.1
MAX_LENGTH = 8192
"""The longest token that is looked at; ours have less than 1,500 characters."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REQUIRED = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]  # section 2.2
_TYPES = frozenset({TYP, f"application/{TYP}"})  # RFC 7515 section 4.1.9 lets the prefix stand


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that was just issued."""

    text: str
    claims: dict[str, Any]


class AccessTokens:
    """Issues and verifies the access tokens of one issuer."""

    def __init__(
        self, issuer: str, lifetime: int, keys: KeyRing, clock: Callable[[], float] = time.time
    ) -> None:
        self.lifetime = lifetime
        self._issuer = issuer
        self._keys = keys
        self._clock = clock

    def issue(self, client_id: str, audience: str, scope: Sequence[str]) -> AccessToken:
        """Sign a token for a client (section 2.2).

        With client credentials there is no user, so `sub` names the client as well (section 2.2: `sub` is
        then an identifier of the client application).
        """
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": audience,
            "sub": client_id,
            "client_id": client_id,
            "iat": now,
            "exp": now + self.lifetime,
            "jti": secrets.token_urlsafe(16),
        }
        if scope:  # RFC 6749 section 3.3: a scope has at least one token
            claims["scope"] = " ".join(scope)
        return AccessToken(self._keys.active.sign(claims, TYP), claims)

    def verify(self, token: str, audience: str) -> dict[str, Any]:
        """Return the claims of a token of this issuer for this audience (section 4).

        Raises:
            OAuthError: Anything is not as it must be; the reason says what, for the log.
        """
        key = self._key_of(token)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public_key,
                algorithms=[key.algorithm],
                issuer=self._issuer,
                audience=audience,
                options={"require": _REQUIRED, "strict_aud": True},
            )
        except jwt.InvalidTokenError as error:
            raise OAuthError(
                PublicError.INVALID_TOKEN, f"the token is refused: {type(error).__name__}"
            ) from error
        return claims

    def _key_of(self, token: str) -> SigningKey:
        # The header is text of the caller's until the signature is verified: it may only choose among our
        # keys, and the key decides the algorithm (RFC 8725 sections 3.1 and 3.11).
        if len(token) > MAX_LENGTH or not _COMPACT.fullmatch(token):
            raise OAuthError(PublicError.INVALID_TOKEN, "not a token in compact serialisation")
        try:
            encoded = token.partition(".")[0]
            header = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        except (ValueError, RecursionError) as error:
            raise OAuthError(PublicError.INVALID_TOKEN, "the token's header is not JSON") from error
        if not isinstance(header, dict) or set(header) != {"alg", "kid", "typ"}:
            raise OAuthError(PublicError.INVALID_TOKEN, "the token's header is not one of ours")
        kid, typ = header["kid"], header["typ"]
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise OAuthError(PublicError.INVALID_TOKEN, "the token names a key that is not published")
        if header["alg"] != key.algorithm:
            raise OAuthError(PublicError.INVALID_TOKEN, "the token's algorithm is not that of its key")
        if not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise OAuthError(PublicError.INVALID_TOKEN, "the token's typ is not that of an access token")
        return key
