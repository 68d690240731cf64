"""Judging an access token (RFC 9068): its signature, its times, and whether it was made for this service.

PyJWT decides. Before it, the shape of both JSON parts is checked here, because PyJWT takes the last of two
equal names, leaves `typ` unchecked and ignores parameters that would change a token's meaning.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, TypeVar

import jwt
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from upstream.strict_json import InvalidJsonError, parse
from upstream.tokens.keyset import KeySet
from upstream.tokens.refusal import InsufficientScopeError, InvalidTokenError

# RFC 9068 section 2.1 and RFC 7515 section 4.1.9: the application/ prefix may be left out.
ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})

# 9999-12-31T23:59:59Z: beyond it a time is a mistake, and not every reader keeps it exactly.
_Time = Annotated[int | float, Field(ge=0, le=253402300799, allow_inf_nan=False)]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]

_Model = TypeVar("_Model", bound=BaseModel)


# A key that the token itself brings along or points at (RFC 8725 section 3.10), and what would change how the
# rest is read (RFC 7515 section 4.1.11, RFC 7797, RFC 7516 section 4.1.3).
_FORBIDDEN = frozenset({"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip"})


class UnknownKeyError(InvalidTokenError):
    """The token names a key that is not in the set; a newer set may have it."""


class _Header(BaseModel):
    """The header parameters that are looked at; others are left alone (RFC 7515 section 4)."""

    model_config = ConfigDict(strict=True, extra="allow")

    alg: _Text
    typ: _Text
    kid: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9._~-]+$")]


class _Claims(BaseModel):
    """RFC 9068 section 2.2: what an access token must claim. Further claims are left alone."""

    model_config = ConfigDict(strict=True)

    iss: _Text
    aud: _Text | Annotated[list[_Text], Field(min_length=1, max_length=32)]
    exp: _Time
    iat: _Time
    nbf: _Time | None = None
    sub: _Text
    client_id: _Text
    jti: _Text
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a good token says is calling.

    Attributes:
        client_id: the client that the token was issued to.
        scopes: what it grants.
        expires: when it ends, in seconds since the epoch.
    """

    client_id: str
    scopes: frozenset[str]
    expires: float

    def must_have(self, scope: str) -> None:
        """Raise InsufficientScopeError unless the token grants this scope."""
        if scope not in self.scopes:
            raise InsufficientScopeError(f"client {self.client_id} lacks {scope}", scope)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a token must say to be taken by this service."""

    issuer: str
    audience: str
    skew: float

    def verify(self, token: str, keys: KeySet) -> Caller:
        """Judge one token.

        Args:
            token: three parts of base64url, as `bearer.read` returns it.
            keys: the issuer's keys.

        Returns:
            Who is calling.

        Raises:
            InvalidTokenError: with the reason for the log.
            UnknownKeyError: the token names a key that is not in the set, which a newer set may have.
        """
        header_part, claims_part, signature_part = token.split(".")
        header = _read(header_part, _Header, "header")
        claims = _read(claims_part, _Claims, "claims")
        _decode(signature_part, "signature")
        if forbidden := _FORBIDDEN.intersection(header.model_extra or {}):
            raise InvalidTokenError(f"header parameter {min(forbidden)} is not taken")
        if header.typ.lower() not in ACCESS_TOKEN_TYPES:
            raise InvalidTokenError(f"typ {header.typ!r} is not an access token's")
        key = keys.get(header.kid)
        if key is None:
            raise UnknownKeyError(f"unknown kid {header.kid!r}")
        # RFC 8725 section 3.1: the key says which algorithm it is for, and the token has to agree.
        if header.alg != key.algorithm_name:
            raise InvalidTokenError(f"alg {header.alg!r} is not that of the key")
        try:
            jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self.issuer,
                audience=self.audience,
                leeway=self.skew,
                options={"enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            raise InvalidTokenError(f"{type(error).__name__}: {error}") from error
        return Caller(claims.client_id, frozenset(claims.scope.split()), float(claims.exp))


def _read(part: str, model: type[_Model], what: str) -> _Model:
    try:
        return model.model_validate(parse(_decode(part, what)))
    except InvalidJsonError as error:
        raise InvalidTokenError(f"{what}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InvalidTokenError(f"{what}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _decode(part: str, what: str) -> bytes:
    """Decode base64url without padding; a spelling that does not encode back to itself is refused.

    Bits left over in the last character would give one token many spellings (RFC 4648 section 3.5).
    """
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise InvalidTokenError(f"{what} is not base64url") from error
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode("ascii"):
        raise InvalidTokenError(f"{what} is not canonical base64url")
    return data
