"""Authorization server metadata (RFC 8414)."""

from __future__ import annotations

from typing import Any

from tokendealer.rfc6749.client_authentication import METHODS

OAUTH_PATH = "/oauth/token"
JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"


def metadata(issuer: str) -> dict[str, Any]:
    """Return the metadata document (section 2).

    `response_types_supported` is required there, and without an authorization endpoint there is none to name.
    """
    return {
        "issuer": issuer,
        "token_endpoint": issuer + OAUTH_PATH,
        "jwks_uri": issuer + JWKS_PATH,
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": list(METHODS),
    }
