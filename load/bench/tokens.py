"""Access tokens, made once and kept in build/: RS512, 2,048 bits, as the token service issues them.

Signing costs a millisecond a token, which is far more than any proxy takes to verify one. So they are made
before, by as many processes as there are cores, and are good for a month. The private key is never written
down.
"""

import base64
import json
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ISSUER: Final = "https://localhost:8443"
AUDIENCE: Final = "data"
SCOPE: Final = "users:read"
KID: Final = "bench-rs512"

# A worker of the gateway remembers 4,096 tokens at most and Envoy 100. Taken in turn, each of these is
# forgotten six times over before its turn comes again, so a proxy always sees tokens that it does not know.
COUNT: Final = 24_576

LIFETIME: Final = 30 * 24 * 3600
FRESH: Final = 24 * 3600
_BATCH: Final = 512


@dataclass(frozen=True, slots=True)
class Tokens:
    """The files, and one of the tokens.

    Attributes:
        good: a token that every proxy must let pass.
        all: a file with one token a line.
        keys: the key set as a JSON document (RFC 7517).
        public: the public key in PEM.
    """

    good: str
    all: Path
    keys: Path
    public: Path

    @property
    def forged(self) -> str:
        """The good token with another signature, of the same form."""
        head, _, signature = self.good.rpartition(".")
        return f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


def ready(folder: Path, count: int = COUNT) -> Tokens:
    """Return tokens that are good for a day at least; made now unless the folder has them."""
    tokens, keys, public = folder / "tokens.txt", folder / "jwks.json", folder / "public.pem"
    kept = tokens.read_text(encoding="ascii").split() if tokens.exists() else []
    if len(kept) != count or _expiry(kept[0]) < time.time() + FRESH:
        folder.mkdir(parents=True, exist_ok=True)
        private = rsa.generate_private_key(65537, 2048)
        keys.write_text(json.dumps({"keys": [_jwk(private.public_key())]}), encoding="ascii")
        public.write_bytes(
            private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        kept = _make(private, count)
        # Last, and at once: what was interrupted is made again.
        unfinished = folder / "tokens.unfinished"
        unfinished.write_text("\n".join(kept) + "\n", encoding="ascii")
        unfinished.replace(tokens)
    return Tokens(kept[0], tokens, keys, public)


def sign(pem: bytes, now: int, numbers: Sequence[int]) -> list[str]:
    """Sign a token for each number (RFC 9068), each of another client and issued at another second.

    Args:
        pem: the private key.
        now: when the first of them was issued; the others were before.
        numbers: which ones.
    """
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    header = _encoded({"alg": "RS512", "kid": KID, "typ": "at+jwt"})
    signed = []
    for number in numbers:
        client, issued = f"client-{number}", now - number
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": client,
            "client_id": client,
            "scope": SCOPE,
            "jti": secrets.token_hex(16),
            "iat": issued,
            "exp": issued + LIFETIME,
        }
        message = b".".join((header, _encoded(claims)))
        signature = key.sign(message, padding.PKCS1v15(), hashes.SHA512())
        signed.append(b".".join((message, _base64url(signature))).decode("ascii"))
    return signed


def _make(private: rsa.RSAPrivateKey, count: int) -> list[str]:
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    now = int(time.time())
    if count <= _BATCH:
        return sign(pem, now, range(count))
    batches = [range(count)[start : start + _BATCH] for start in range(0, count, _BATCH)]
    with ProcessPoolExecutor(cpu_count(), get_context("spawn")) as pool:
        return [token for batch in pool.map(partial(sign, pem, now), batches) for token in batch]


def _jwk(public: rsa.RSAPublicKey) -> dict[str, str]:
    jwk = jwt.get_algorithm_by_name("RS512").to_jwk(public, as_dict=True)
    return {"kty": "RSA", "use": "sig", "alg": "RS512", "kid": KID, "n": jwk["n"], "e": jwk["e"]}


def _expiry(token: str) -> int:
    claims = jwt.decode(token, options={"verify_signature": False})
    return int(claims["exp"])


def _encoded(value: dict[str, object]) -> bytes:
    return _base64url(json.dumps(value, separators=(",", ":")).encode("ascii"))


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
