"""An issuer of the tests: keys of every kind, good tokens, and every bad one that a case file describes.

issuer = Issuer()
issuer.token(scope="users:read")                 # a good RS512 token; alg="EdDSA" and so on for others
issuer.jwks()                                    # the set to publish
issuer.forge({"header": {"alg": "none"}})       # a bad one: what forgeries.py can build of a case
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import Algorithm

from tests.support.forgeries import Forgery

ISSUER: Final = "https://localhost:8443"
AUDIENCE: Final = "data"
SCOPES: Final = "users:read users:write"

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip

_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(), "secp256k1": ec.SECP256K1(),
}  # fmt: skip
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key(name: str, bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    """Make an RSA key, once a process and name: making one takes a while."""
    del name
    return rsa.generate_private_key(exponent, bits)


def new_key(kind: str, name: str = "") -> PrivateKey:
    """Make a key: an algorithm's name, a curve's, or RSA followed by its bits."""
    if kind.startswith("RSA"):
        return rsa_key(name, int(kind[3:]))
    if kind[:2] in {"RS", "PS"}:
        return rsa_key(name or kind[2:])
    if kind in {"EdDSA", "Ed25519"}:
        return ed25519.Ed25519PrivateKey.generate()
    curve = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}.get(kind, kind)
    return ec.generate_private_key(_CURVES[curve])


def algorithm(name: str) -> Algorithm:
    """PyJWT's implementation of an algorithm."""
    return jwt.get_algorithm_by_name(name)


def public_jwk(key: PrivateKey, **members: Any) -> dict[str, Any]:
    """Write the public half of a key as a JWK, with further members (None takes one away)."""
    kinds = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256"}
    name = next((alg for kind, alg in kinds.items() if isinstance(key, kind)), "EdDSA")
    jwk = {**algorithm(name).to_jwk(key.public_key(), as_dict=True), **members}
    jwk.pop("key_ops", None) if "key_ops" not in members else None
    return {member: value for member, value in jwk.items() if value is not None}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the one algorithm that it signs with, and its name."""

    kid: str
    alg: str
    private: PrivateKey

    @classmethod
    def make(cls, alg: str, kid: str | None = None) -> SigningKey:
        """Make a key for an algorithm."""
        return cls(kid or f"key-{alg.lower()}", alg, new_key(alg, kid or ""))

    def jwk(self, **members: Any) -> dict[str, Any]:
        """Write the public half as an issuer publishes it."""
        return public_jwk(self.private, **{"kid": self.kid, "alg": self.alg, "use": "sig", **members})

    def other(self) -> SigningKey:
        """Make another key of the same kind, which nobody publishes."""
        return SigningKey.make(self.alg, "other")

    def sign(self, message: bytes, alg: str | None = None) -> bytes:
        """Sign as JWS has it, with the key's algorithm or, for a forgery, with another of its family."""
        return algorithm(alg or self.alg).sign(message, self.private)


@dataclass(slots=True)
class Issuer:
    """An issuer with a key for each algorithm, of which it publishes all."""

    issuer: str = ISSUER
    audience: str = AUDIENCE
    keys: dict[str, SigningKey] = field(
        default_factory=lambda: {alg: SigningKey.make(alg) for alg in ALGORITHMS}
    )

    def jwks(self) -> dict[str, Any]:
        """The set that the issuer publishes."""
        return {"keys": [key.jwk() for key in self.keys.values()]}

    def claims(self, now: int) -> dict[str, Any]:
        """The claims of a good token (RFC 9068 section 2.2)."""
        return {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": "demo",
            "client_id": "demo",
            "scope": SCOPES,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + 3600,
        }

    def token(self, alg: str = "RS512", **changes: Any) -> str:
        """A good token, with some claims changed; None takes a claim away."""
        claims = {name: {"$absent": True} if value is None else value for name, value in changes.items()}
        return self.forge({"alg": alg, "claims": claims})

    def forge(self, case: Mapping[str, Any], now: int | None = None) -> str:
        """Build the token that a case describes, as of now or of another time."""
        now = int(time.time()) if now is None else now
        key = self.keys[case.get("alg", "RS512")]
        return Forgery(self.issuer, key, self.claims(now), case, now).token()
