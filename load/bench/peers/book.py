"""The token service as the book teaches it: its key file is read and parsed at each request.

It runs on the same server (hypercorn, uvloop) and signs with a key of the same kind, which ours made.
"""

from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization

from load.bench.peers.token_service import TokenService, tokendealer
from tests.support.book_tokendealer import SECRETS


class Book(TokenService):
    """A running token service of the book."""

    def __init__(self, folder: Path) -> None:
        """Make a key, start the service and wait until it listens."""
        state = folder / "state"
        tokendealer("init", "--state", state, "--algorithm", "RS512")
        (private,) = (state / "keys").glob("*.pem")
        parsed = serialization.load_pem_private_key(private.read_bytes(), None)
        self._public = folder / "public.pem"
        self._public.write_bytes(
            parsed.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        keys = ("--private-key", private, "--public-key", self._public)
        form = {"client_id": "bench", "client_secret": SECRETS["bench"]}
        super().__init__(folder, form, "-m", "tests.support.book_tokendealer", *keys)

    def verify(self, token: str) -> dict[str, Any]:
        """Verify a token by the public key; what the book publishes is no key set."""
        claims: dict[str, Any] = jwt.decode(
            token, self._public.read_text(), algorithms=["RS512"], audience="data"
        )
        return claims
