"""Signing keys: made, named and parsed once, and the ring that says which signs and which are published."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tokendealer.settings import Algorithm

RSA_BITS = 2048
"""NIST SP 800-57 part 1 holds this good until 2030; each further bit is paid for at every signature."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_GENERATORS: dict[Algorithm, Callable[[], PrivateKey]] = {
    "RS512": lambda: rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}

# RFC 7638 section 3.2 (and RFC 8037 section 2 for OKP): the members that make the thumbprint. They are all
# that is public in the key, too.
_THUMBPRINT_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


# RFC 7518 sections 3.3 and 3.4, RFC 8037 section 3.1.
_TAKES: dict[Algorithm, str] = {
    "RS512": f"an RSA key of {RSA_BITS} bits or more",
    "ES256": "a key on the curve P-256",
    "EdDSA": "an Ed25519 key",
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with the one algorithm it is used with.

    Attributes:
        kid: The RFC 7638 thumbprint of the public key.
        algorithm: The `alg` of the tokens it signs (RFC 8725 section 3.1: one key, one algorithm).
        private_key: The parsed key.
        jwk: The public key as published (RFC 7517 section 4).
    """

    kid: str
    algorithm: Algorithm
    private_key: PrivateKey = field(repr=False)
    jwk: Mapping[str, str]

    @classmethod
    def of(cls, private_key: PrivateKey, algorithm: Algorithm) -> SigningKey:
        """Name a private key.

        Raises:
            ValueError: The key does not fit the algorithm.
        """
        members = _public_members(private_key, algorithm)
        kid = thumbprint(members)
        return cls(kid, algorithm, private_key, {**members, "use": "sig", "alg": algorithm, "kid": kid})

    @property
    def public_key(self) -> Any:
        """The public half, as PyJWT wants it."""
        return self.private_key.public_key()

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        """Return the claims as a signed token in compact serialisation (RFC 7515 section 3.1)."""
        return jwt.encode(
            claims, self.private_key, algorithm=self.algorithm, headers={"typ": typ, "kid": self.kid}
        )

    def to_pem(self) -> bytes:
        """Return the private key as PKCS #8."""
        return self.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def generate_key(algorithm: Algorithm) -> SigningKey:
    """Make a new key for an algorithm."""
    return SigningKey.of(_GENERATORS[algorithm](), algorithm)


def parse_key(pem: bytes, algorithm: Algorithm) -> SigningKey:
    """Parse a private key in PEM.

    Raises:
        ValueError: Not a private key, or not one for this algorithm.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:  # what cryptography raises for an encrypted key
        raise ValueError("the key is encrypted") from error
    return SigningKey.of(cast("PrivateKey", key), algorithm)


def thumbprint(members: Mapping[str, str]) -> str:
    """Return the thumbprint of a public JWK (RFC 7638 section 3), which is the key's name."""
    required = {name: members[name] for name in _THUMBPRINT_MEMBERS[members["kty"]]}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def _public_members(private_key: PrivateKey, algorithm: Algorithm) -> dict[str, str]:
    jwk: dict[str, Any]
    match algorithm, private_key:
        case "RS512", rsa.RSAPrivateKey() if private_key.key_size >= RSA_BITS:
            jwk = RSAAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
        case "ES256", ec.EllipticCurvePrivateKey() if isinstance(private_key.curve, ec.SECP256R1):
            jwk = ECAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
        case "EdDSA", ed25519.Ed25519PrivateKey():
            jwk = OKPAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
        case _:
            raise ValueError(f"{algorithm} takes {_TAKES[algorithm]}")
    return {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}


class KeyRing:
    """Which key signs, and which keys verifiers may meet: what signs is always among what is published."""

    def __init__(self, active: SigningKey, others: Iterable[SigningKey] = ()) -> None:
        self.active = active
        self.published: tuple[SigningKey, ...] = (active, *(key for key in others if key.kid != active.kid))
        self._by_kid = {key.kid: key for key in self.published}

    def get(self, kid: str) -> SigningKey | None:
        """Return the published key of that name."""
        return self._by_kid.get(kid)
