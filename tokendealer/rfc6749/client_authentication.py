"""Client authentication (RFC 6749 section 2.3): HTTP Basic or the request body, not both, not the query."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Protocol
from urllib.parse import unquote_plus

from tokendealer.client_secrets import SecretHasher
from tokendealer.clients import CLIENT_ID, Client
from tokendealer.rfc6749.errors import OAuthError, PublicError
from tokendealer.rfc6749.form import Form, form_decode

METHODS = ("client_secret_basic", "client_secret_post")
"""The names of RFC 7591 section 2, as the metadata lists them."""

CHALLENGE = 'Basic realm="tokendealer", charset="UTF-8"'
"""What every 401 carries: RFC 6749 section 5.2 asks for it after Basic, RFC 9110 section 15.5.2 always."""

# A client that does not exist is compared with this, so that it takes as long as one that does.
_NOBODYS_DIGEST = bytes(32)

_NEVER_IN_A_URL = ("client_secret", "client_assertion", "access_token", "refresh_token", "password")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client says of itself; nothing of it is verified yet."""

    client_id: str
    client_secret: str
    method: str


class Clients(Protocol):
    """Where clients are looked up."""

    def get(self, client_id: str) -> Client | None:
        """Return the client, or None if there is none of that name."""


def loggable(client_id: str | None) -> str | None:
    """Return a client's name if it could be one; other text of the caller's stays out of the log."""
    return client_id if client_id is not None and re.fullmatch(CLIENT_ID, client_id) else None


def read_credentials(authorization: Sequence[str], form: Form) -> Credentials:
    """Find the client's credentials in a request.

    Args:
        authorization: Every Authorization header of the request.
        form: The body.

    Raises:
        OAuthError: None, more than one, or some that cannot be read.
    """
    in_body = form.get("client_id")
    secret = form.get("client_secret")
    assertion = form.get("client_assertion") or form.get("client_assertion_type")
    if len(authorization) > 1 or sum(map(bool, (authorization, secret, assertion))) > 1:
        raise OAuthError(PublicError.TWO_MECHANISMS, "two authentication mechanisms", loggable(in_body))
    if authorization:
        credentials = _read_basic(authorization[0])
        if in_body is not None and in_body != credentials.client_id:
            raise OAuthError(PublicError.CLIENT_MISMATCH, "client_id unlike Basic's", loggable(in_body))
        return credentials
    if assertion is not None:
        raise OAuthError(PublicError.INVALID_CLIENT, "client assertions are not supported", loggable(in_body))
    if in_body is None or secret is None:
        raise OAuthError(PublicError.INVALID_CLIENT, "no client credentials", loggable(in_body))
    return Credentials(in_body, secret, "client_secret_post")


def _read_basic(header: str) -> Credentials:
    # RFC 6749 section 2.3.1: the identifier and the secret are each form-encoded, then joined by a colon and
    # put in base64 (RFC 7617 section 2). An identifier that holds a colon therefore arrives with %3A.
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        raise OAuthError(PublicError.INVALID_CLIENT, "an authorization scheme other than Basic")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        client_id, secret = map(form_decode, text.split(":", 1))
    except (ValueError, binascii.Error) as error:
        raise OAuthError(PublicError.MALFORMED_CREDENTIALS, "the Basic credentials do not decode") from error
    if not client_id or not secret:
        raise OAuthError(PublicError.INVALID_CLIENT, "empty Basic credentials", loggable(client_id))
    return Credentials(client_id, secret, "client_secret_basic")


def authenticate_client(credentials: Credentials, clients: Clients, hasher: SecretHasher) -> Client:
    """Return the client that these credentials prove.

    Unknown, wrong and disabled take the same steps in the same order before they differ, and they differ only
    in the reason for the log.

    Raises:
        OAuthError: The credentials prove nothing.
    """
    client = clients.get(credentials.client_id)
    offered = hasher.digest(credentials.client_id, credentials.client_secret)
    expected = client.digests if client is not None and client.digests else (_NOBODYS_DIGEST,)
    # No early end: how many secrets a client has, and which one it was, is nobody's business.
    matches = sum([compare_digest(offered, digest) for digest in expected])
    if client is None:
        reason = "unknown client"
    elif not matches:
        reason = "wrong secret"
    elif client.disabled:
        reason = "disabled client"
    else:
        return client
    raise OAuthError(PublicError.INVALID_CLIENT, reason, loggable(credentials.client_id))


def secret_in_query(query: bytes) -> str | None:
    """Return the name of a query parameter that should never have been in a URL (RFC 6749 section 2.3.1).

    URLs end up in logs and histories, so such a secret counts as disclosed. However badly the query is
    written, a reader of the log could read it, so it is decoded leniently here.
    """
    if not query:
        return None
    names = {unquote_plus(pair.partition("=")[0]) for pair in query.decode("latin-1").split("&")}
    return next((name for name in _NEVER_IN_A_URL if name in names), None)
