"""Client secrets: made here, shown once, kept as a keyed hash.

A secret of 256 random bits cannot be guessed, so it needs no slow hash; Argon2 at the token endpoint would be
the bottleneck and a lever for denial of service. What a stolen database must not give away is whether a guess
is right, and HMAC-SHA-256 with a key that lies outside the database sees to that.
"""

from __future__ import annotations

import hmac
import secrets

SECRET_BYTES = 32
PEPPER_BYTES = 32


def generate_secret() -> str:
    """Return a new client secret: 256 random bits in base64url, so that no client has to encode it."""
    return secrets.token_urlsafe(SECRET_BYTES)


class SecretHasher:
    """Turns a client's secret into what the database holds."""

    def __init__(self, pepper: bytes) -> None:
        if len(pepper) != PEPPER_BYTES:
            raise ValueError(f"the pepper has {len(pepper)} bytes instead of {PEPPER_BYTES}")
        self._pepper = pepper

    def digest(self, client_id: str, secret: str) -> bytes:
        """Return the keyed hash of a secret.

        The client's name is part of it (a NUL cannot occur in a registered name), so that a row copied to
        another client is worthless there.
        """
        return hmac.digest(self._pepper, f"{client_id}\0{secret}".encode(), "sha256")
