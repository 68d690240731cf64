"""A JSON Web Key Set (RFC 7517), read strictly: it is taken as a whole or not at all."""

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from upstream.strict_json import InvalidJsonError, parse

MAX_KEYS = 32
MIN_RSA_BITS = 2048

# RFC 7518 section 3.1 and RFC 8037. The curve is named here because a key's own word is not to be trusted
# with it.
_KINDS: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
ALGORITHMS = frozenset(_KINDS)

# RFC 7518 sections 6.2.2, 6.3.2 and 6.4: a set that shows private or symmetric members was made by mistake.
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

KeySet = Mapping[str, jwt.PyJWK]
"""Keys by `kid`; each is parsed, and bound to the one algorithm it may be used with."""


class InvalidKeySetError(ValueError):
    """The document is not a key set that this service takes."""


class _Key(BaseModel):
    """The members that every key must have; what else it has is left alone (RFC 7517 section 4)."""

    model_config = ConfigDict(strict=True, extra="allow")

    kid: Annotated[str, Field(min_length=1, max_length=256)]
    kty: Literal["RSA", "EC", "OKP"]
    alg: str
    use: Literal["sig"] = "sig"
    crv: str | None = None


class _Document(BaseModel):
    model_config = ConfigDict(strict=True)

    keys: Annotated[list[_Key], Field(min_length=1, max_length=MAX_KEYS)]


def read(document: bytes, algorithms: Collection[str]) -> KeySet:
    """Read and check a key set.

    Args:
        document: the JSON text.
        algorithms: the names that a key may be for.

    Returns:
        The parsed keys by their `kid`.

    Raises:
        InvalidKeySetError: any key of the set is not one that may verify a token, with the reason.
    """
    try:
        keys = _Document.model_validate(parse(document)).keys
    except InvalidJsonError as error:
        raise InvalidKeySetError(str(error)) from error
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InvalidKeySetError(f"{where}: {error.errors()[0]['msg']}") from error
    found: dict[str, jwt.PyJWK] = {}
    for key in keys:
        if key.kid in found:
            raise InvalidKeySetError(f"two keys with the kid {key.kid!r}")
        found[key.kid] = _load(key, algorithms)
    return found


def _load(key: _Key, algorithms: Collection[str]) -> jwt.PyJWK:
    members = {"kid": key.kid, "kty": key.kty, "alg": key.alg, **(key.model_extra or {})}
    if key.crv is not None:
        members["crv"] = key.crv
    if key.alg not in algorithms:
        raise InvalidKeySetError(
            f"key {key.kid!r}: algorithm {key.alg!r} is not among {', '.join(algorithms)}"
        )
    if (key.kty, key.crv) != _KINDS[key.alg]:
        raise InvalidKeySetError(f"key {key.kid!r}: {key.kty} {key.crv or ''} can't be used with {key.alg}")
    if not _SECRET_MEMBERS.isdisjoint(members):
        raise InvalidKeySetError(f"key {key.kid!r} shows private members")
    try:
        loaded = jwt.PyJWK(members)
    except (jwt.PyJWTError, TypeError, ValueError, KeyError) as error:
        # PyJWT's own sentence prints the key; what is wrong is enough.
        raise InvalidKeySetError(f"key {key.kid!r} can't be loaded: {type(error).__name__}") from error
    if isinstance(loaded.key, RSAPublicKey):
        _check_rsa(key.kid, loaded.key)
    return loaded


def _check_rsa(kid: str, key: RSAPublicKey) -> None:
    # RFC 7518 section 3.3: 2048 bits or more. An exponent of 1 would make any message its own signature.
    if key.key_size < MIN_RSA_BITS:
        raise InvalidKeySetError(
            f"key {kid!r}: RSA of {key.key_size} bits, at least {MIN_RSA_BITS} are needed"
        )
    exponent = key.public_numbers().e
    if exponent < 3 or exponent % 2 == 0:
        raise InvalidKeySetError(f"key {kid!r}: the RSA exponent {exponent} is unsafe")
