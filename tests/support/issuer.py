"""The issuer that the data service is tested with: a key of each kind, and tokens by them."""

import json
from functools import cache
from typing import Any

from tests.support.tokens import AUDIENCE, ISSUER, Issuer, SigningKey

__all__ = ["AUDIENCE", "ISSUER", "issuer", "jwks", "token"]


@cache
def issuer() -> Issuer:
    """Return the one issuer of this test run; making an RSA key takes long."""
    return Issuer(keys={algorithm: SigningKey.make(algorithm) for algorithm in ("RS512", "ES256", "EdDSA")})


def jwks(*algorithms: str) -> bytes:
    """Return the document of a key set with these keys."""
    return json.dumps({"keys": [issuer().keys[algorithm].jwk() for algorithm in algorithms]}).encode()


def token(algorithm: str = "ES256", **changes: Any) -> str:
    """Return a good token whose claims have these changes; None takes a claim away."""
    return issuer().token(algorithm, **changes)
