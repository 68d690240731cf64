"""The token endpoint (RFC 6749 section 3.2) with the client credentials grant (section 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokendealer.client_secrets import SecretHasher
from tokendealer.rfc6749.client_authentication import Clients, authenticate_client, read_credentials
from tokendealer.rfc6749.errors import OAuthError, PublicError
from tokendealer.rfc6749.form import Form
from tokendealer.rfc6749.scope import grant_scope
from tokendealer.rfc8707 import choose_audience
from tokendealer.rfc9068 import AccessToken, AccessTokens

PARAMETERS = frozenset(
    {
        "grant_type",
        "scope",
        "audience",
        "resource",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
    }
)
"""What the endpoint knows; any other parameter is ignored (section 3.2)."""

GRANT_TYPE = "client_credentials"


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Answers token requests.

    Attributes:
        clients: Where clients are looked up.
        hasher: How their secrets are kept.
        tokens: What signs.
    """

    clients: Clients
    hasher: SecretHasher
    tokens: AccessTokens

    def grant(self, authorization: Sequence[str], form: Form) -> AccessToken:
        """Return the token that a request is granted.

        What the request itself says wrongly is refused before the client is looked at; scopes and audiences
        are judged only for a client that has proved who it is.

        Args:
            authorization: Every Authorization header of the request.
            form: The body.

        Raises:
            OAuthError: With the row of section 5.2 that fits.
        """
        if form.require("grant_type") != GRANT_TYPE:
            raise OAuthError(PublicError.UNSUPPORTED_GRANT_TYPE, "another grant type")
        credentials = read_credentials(authorization, form)
        client = authenticate_client(credentials, self.clients, self.hasher)
        try:
            scope = grant_scope(form.get("scope"), client.scopes)
            audience = choose_audience(form.get("audience"), form.resources, client.audiences)
        except OAuthError as refusal:
            refusal.client_id = client.client_id
            raise
        return self.tokens.issue(client.client_id, audience, scope)

    def reply(self, token: AccessToken) -> dict[str, Any]:
        """Return the successful answer (section 5.1). No refresh token (section 4.4.3)."""
        body: dict[str, Any] = {
            "access_token": token.text,
            "token_type": "Bearer",  # nosec B105: the name of a token type
            "expires_in": self.tokens.lifetime,
        }
        if "scope" in token.claims:
            body["scope"] = token.claims["scope"]
        return body
