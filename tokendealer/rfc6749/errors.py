"""The one table of what a caller may learn of a refusal (RFC 6749 section 5.2, RFC 8707 section 2).

A refusal has two layers: a row of this table, which goes out, and a reason, which only goes to the log beside
the request id. The texts keep to the characters that section 5.2 allows, and none repeats what the caller
sent.
"""

from __future__ import annotations

from enum import Enum


class PublicError(Enum):
    """Status, `error` and `error_description` of every refusal of this service."""

    # RFC 6749 section 5.2. Unknown client, wrong secret and disabled client are one row: the same bytes.
    INVALID_CLIENT = (401, "invalid_client", "Client authentication failed.")
    UNSUPPORTED_GRANT_TYPE = (400, "unsupported_grant_type", "The only grant type is client_credentials.")
    INVALID_SCOPE = (400, "invalid_scope", "The scope is malformed, or more than the client may have.")
    # RFC 8707 section 2.
    INVALID_TARGET = (400, "invalid_target", "The audience is missing, malformed, or not one of this client.")
    MISSING_PARAMETER = (400, "invalid_request", "A required parameter is missing.")
    REPEATED_PARAMETER = (400, "invalid_request", "A parameter is included more than once.")
    NOT_A_FORM = (400, "invalid_request", "The body must be application/x-www-form-urlencoded.")
    MALFORMED_FORM = (400, "invalid_request", "The form is not valid UTF-8 in valid percent-encoding.")
    MALFORMED_CREDENTIALS = (400, "invalid_request", "The Authorization header is not valid HTTP Basic.")
    TWO_MECHANISMS = (400, "invalid_request", "More than one way of client authentication is used at once.")
    CLIENT_MISMATCH = (400, "invalid_request", "The client_id in the body is not the one in the header.")
    SECRET_IN_QUERY = (400, "invalid_request", "A secret in a URL counts as disclosed: replace it.")
    # POST /verify_token.
    INVALID_TOKEN = (400, "invalid_token", "The token is not a valid access token for this audience.")
    # What HTTP itself refuses.
    BAD_REQUEST = (400, "invalid_request", "The request is malformed.")
    NOT_FOUND = (404, "not_found", "There is nothing at this path.")
    METHOD_NOT_ALLOWED = (405, "invalid_request", "The method is not allowed here; see the Allow header.")
    REQUEST_TIMEOUT = (408, "invalid_request", "The body did not arrive in time.")
    BODY_TOO_LARGE = (413, "invalid_request", "The body is too large.")
    # What is our own fault.
    SERVER_ERROR = (500, "server_error", "The service failed; the request id names the entry in its log.")
    UNAVAILABLE = (503, "temporarily_unavailable", "The client registry cannot be read; try again shortly.")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def error(self) -> str:
        """The machine-readable `error`."""
        return self.value[1]

    @property
    def description(self) -> str:
        """The fixed `error_description`."""
        return self.value[2]


class OAuthError(Exception):
    """A request is refused.

    Attributes:
        public: What the caller learns.
        reason: What only the log learns; never a secret or a token.
        client_id: Which client it was, as far as that is known and safe to log.
    """

    def __init__(self, public: PublicError, reason: str, client_id: str | None = None) -> None:
        super().__init__(reason)
        self.public = public
        self.reason = reason
        self.client_id = client_id
