"""Why a caller is not let in, and what it is told: the codes of RFC 6750 section 3.1.

The public text of each kind is fixed. The reason behind it goes to the log only: which check failed is what
an attacker would like to learn.
"""

from typing import ClassVar


class RefusalError(Exception):
    """A request that the token, or the lack of one, does not admit.

    Attributes:
        reason: for the log, never for the client.
        status: of the response.
        code: for `code` in the response's body.
        detail: the sentence that the client gets.
    """

    status: ClassVar[int] = 401
    code: ClassVar[str]
    detail: ClassVar[str]
    # RFC 6750 section 3.1: a request without any token gets the bare challenge, with no error code.
    error: ClassVar[str | None] = None

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def headers(self) -> dict[str, str]:
        """Return the response headers that go with this refusal."""
        challenge = 'Bearer realm="data"'
        if self.error is not None:
            challenge += f', error="{self.error}"'
        return {"WWW-Authenticate": challenge}


class TokenMissingError(RefusalError):
    """No token was sent."""

    code = "token_missing"
    detail = "This resource needs an access token: send it as Authorization: Bearer TOKEN."


class InvalidRequestError(RefusalError):
    """A token was sent in a way that no single reading covers."""

    status = 400
    code = "bad_request"
    detail = "The request must carry exactly one Authorization header."
    error = "invalid_request"


class InvalidTokenError(RefusalError):
    """The token is malformed, forged, expired, or not for this service."""

    code = "token_invalid"
    detail = "The access token is not valid here. Get a new one from the token service."
    error = "invalid_token"


class InsufficientScopeError(RefusalError):
    """The token is good, but does not grant what the view requires."""

    status = 403
    code = "insufficient_scope"
    error = "insufficient_scope"

    def __init__(self, reason: str, scope: str) -> None:
        super().__init__(reason)
        self.scope = scope

    @property
    def detail(self) -> str:  # type: ignore[override]
        """Name the scope that is missing, which RFC 6750 lets a client know."""
        return f"The access token does not grant {self.scope}."

    def headers(self) -> dict[str, str]:
        """Return the challenge with the scope that would be enough."""
        return {"WWW-Authenticate": f'{super().headers()["WWW-Authenticate"]}, scope="{self.scope}"'}


class KeysUnavailableError(RefusalError):
    """No key has been had from the issuer yet, so nothing can be said about any token."""

    status = 503
    code = "keys_unavailable"
    detail = "The keys that verify access tokens are not available yet. Try again soon."
    retry_after = 5

    def headers(self) -> dict[str, str]:
        """Return when to try again; there is no challenge, as the token is not at fault."""
        return {"Retry-After": str(self.retry_after)}
