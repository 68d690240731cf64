"""What the OpenAPI document says of bodies. It describes; the protocol modules judge."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class TokenRequest(BaseModel):
    """A client credentials request (RFC 6749 section 4.4.2)."""

    grant_type: Literal["client_credentials"]
    scope: str | None = Field(None, description="Space-separated; absent means all that the client may have.")
    audience: str | None = Field(None, description="The service that the token is for.")
    resource: str | None = Field(None, description="The same by its RFC 8707 name, an absolute URI.")
    client_id: str | None = Field(None, description="Absent when HTTP Basic is used.")
    client_secret: str | None = Field(None, description="Absent when HTTP Basic is used.")


class TokenReply(BaseModel):
    """A granted token (RFC 6749 section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str | None = None


class ErrorReply(BaseModel):
    """A refusal (RFC 6749 section 5.2)."""

    error: str
    error_description: str


class VerifyRequest(BaseModel):
    """A token, and the service that it should be for."""

    access_token: str
    audience: str


class Claims(BaseModel):
    """The claims of a valid access token (RFC 9068 section 2.2)."""

    iss: str
    aud: str
    sub: str
    client_id: str
    jti: str
    iat: int
    exp: int
    scope: str | None = None


class Jwk(BaseModel):
    """A public key (RFC 7517 section 4)."""

    kty: str
    use: Literal["sig"]
    alg: str
    kid: str
    n: str | None = None
    e: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None


class JwkSetDocument(BaseModel):
    """A key set (RFC 7517 section 5)."""

    keys: list[Jwk]


class MetadataDocument(BaseModel):
    """Authorization server metadata (RFC 8414 section 2)."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]


class Health(BaseModel):
    """Whether the service can do its work."""

    status: Literal["ok", "stale"]
