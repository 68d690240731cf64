"""An issuer of access tokens for tests: real keys, a key set, and tokens made as asked, good or bad."""

import base64
import json
import time
import uuid
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER = "https://issuer.test"
AUDIENCE = "data"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def private_key(algorithm: str) -> PrivateKey:
    """Return the one key of this test run for an algorithm (making an RSA key takes long)."""
    if algorithm.startswith(("RS", "PS")):
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    raise ValueError(algorithm)


def public_jwk(algorithm: str, kid: str | None = None) -> dict[str, Any]:
    """Return the public key as a JWK; without a `kid` it is named after its algorithm."""
    key = private_key(algorithm).public_key()
    members: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True)
    members.pop("key_ops", None)
    return {**members, "kid": kid or f"key-{algorithm}", "alg": algorithm, "use": "sig"}


def jwks(*algorithms: str) -> bytes:
    """Return the document of a key set."""
    return json.dumps({"keys": [public_jwk(algorithm) for algorithm in algorithms]}).encode()


def b64(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token, with changes; None leaves a claim out."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "reader",
        "client_id": "reader",
        "scope": "users:read users:write",
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + 300,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


@dataclass(frozen=True)
class Signed:
    """A token in its parts, each of which can be changed before it is put together.

    Attributes:
        algorithm: whose key signs.
        header: members of the header, over those of a good token; None leaves one out.
        payload: the claims, or the very bytes of the second part.
        raw_header: the very bytes of the first part.
    """

    algorithm: str = "ES256"
    header: dict[str, Any] = field(default_factory=dict)
    payload: dict[str, Any] | bytes = field(default_factory=claims)
    raw_header: bytes | None = None

    def parts(self) -> tuple[str, str, str]:
        """Return the three parts, rightly signed whatever they say."""
        good = {"alg": self.algorithm, "typ": "at+jwt", "kid": f"key-{self.algorithm}"}
        header = {name: value for name, value in {**good, **self.header}.items() if value is not None}
        first = b64(self.raw_header if self.raw_header is not None else json.dumps(header).encode())
        body = self.payload if isinstance(self.payload, bytes) else json.dumps(self.payload).encode()
        second = b64(body)
        signer = jwt.get_algorithm_by_name(self.algorithm)
        signature = signer.sign(f"{first}.{second}".encode(), private_key(self.algorithm))
        return first, second, b64(signature)

    def __str__(self) -> str:
        return ".".join(self.parts())


def token(algorithm: str = "ES256", **changes: Any) -> str:
    """Return a good token whose claims have these changes."""
    return str(Signed(algorithm, payload=claims(**changes)))
