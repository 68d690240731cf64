"""The published key set (RFC 7517 section 5), rendered once: the same bytes and ETag until a key changes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from tokendealer.keys import KeyRing

MEDIA_TYPE = "application/jwk-set+json"  # RFC 7517 section 8.5.2

MAX_AGE = 300
"""How long a verifier may keep the set, in seconds."""


@dataclass(frozen=True, slots=True)
class JwkSet:
    """The bytes of the set.

    Attributes:
        body: The JSON document.
        etag: A strong validator of it (RFC 9110 section 8.8.3), without its quotes.
    """

    body: bytes
    etag: str

    @classmethod
    def of(cls, keys: KeyRing) -> JwkSet:
        """Render the public halves of every published key."""
        body = json.dumps({"keys": [dict(key.jwk) for key in keys.published]}, separators=(",", ":")).encode()
        return cls(body, hashlib.sha256(body).hexdigest()[:32])
