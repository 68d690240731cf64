"""The answers: JSON, and not to be stored unless it says otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from quart import Response

from tokendealer.rfc6749.client_authentication import CHALLENGE
from tokendealer.rfc6749.errors import PublicError

to_json = json.JSONEncoder(separators=(",", ":")).encode
"""Encode an answer; `json.dumps` would make a new encoder for each."""

# RFC 6749 section 5.1 asks for both wherever tokens or credentials may be; nosniff keeps JSON from being
# taken for anything else.
_NEVER_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"}

RETRY_SECONDS = "5"


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that must not be stored."""
    return Response(
        to_json(body), status, {**_NEVER_STORED, **(headers or {})}, content_type="application/json"
    )


def public_reply(body: bytes, content_type: str, headers: Mapping[str, str]) -> Response:
    """Return a public document that may be stored as its headers say."""
    headers = {"X-Content-Type-Options": "nosniff", **headers}
    return Response(body, 200, headers, content_type=content_type)


def not_modified(headers: Mapping[str, str]) -> Response:
    """Return a 304, which has no body and says nothing of its length or kind (RFC 9110 section 15.4.5)."""
    reply = Response(b"", 304, dict(headers))
    del reply.headers["Content-Length"], reply.headers["Content-Type"]
    return reply


def error_reply(error: PublicError, headers: Mapping[str, str] | None = None) -> Response:
    """Return a row of the table of public errors as an answer (RFC 6749 section 5.2)."""
    added = dict(headers or {})
    if error.status == 401:
        added["WWW-Authenticate"] = CHALLENGE
    elif error.status == 503:
        added["Retry-After"] = RETRY_SECONDS
    return json_reply({"error": error.error, "error_description": error.description}, error.status, added)
