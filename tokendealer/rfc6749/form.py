"""The form that a request to this service carries (RFC 6749 section 3.2 and appendix B).

Quart's own parser turns a malformed body into an empty form, replaces bytes that are not UTF-8 and answers
with the first of repeated values, so that what was judged need not be what was sent. Here a body has one
reading or none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from tokendealer.rfc6749.errors import OAuthError, PublicError

FORM = "application/x-www-form-urlencoded"

# RFC 8707 section 2 lets `resource` occur more than once; nothing else may (RFC 6749 section 3.2).
_REPEATABLE = frozenset({"resource"})
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Form:
    """The parameters that were sent with a value; without one they count as not sent (RFC 6749 section 3.2).

    Attributes:
        values: One value for each name.
        resources: The values of `resource`, in their order.
    """

    values: dict[str, str]
    resources: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        """Return the value of a parameter, or None if it is absent or empty."""
        return self.values.get(name)

    def require(self, name: str) -> str:
        """Return the value of a parameter.

        Raises:
            OAuthError: The parameter is absent or empty.
        """
        value = self.values.get(name)
        if value is None:
            raise OAuthError(PublicError.MISSING_PARAMETER, f"no {name}")
        return value


def form_decode(text: str) -> str:
    """Decode one name or value (RFC 6749 appendix B).

    Raises:
        ValueError: A percent sign without two hexadecimal digits, or bytes that are not UTF-8.
    """
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise ValueError("a percent sign without two hexadecimal digits")
    return unquote_to_bytes(text).decode("utf-8")


def read_form(content_type: str | None, body: bytes, known: frozenset[str]) -> Form:
    """Read a form body.

    Args:
        content_type: The Content-Type header.
        body: The bytes of the body, whose length the caller has bounded.
        known: The parameters that mean something here; others are ignored (RFC 6749 section 3.2).

    Raises:
        OAuthError: Not a form, not readable in one way only, or a known parameter is repeated.
    """
    if (content_type or "").partition(";")[0].strip().lower() != FORM:
        raise OAuthError(PublicError.NOT_A_FORM, "the Content-Type is not that of a form")
    try:
        pairs = [pair.partition("=") for pair in body.decode("utf-8").split("&") if pair]
        decoded = [(form_decode(name), form_decode(value)) for name, _, value in pairs]
    except ValueError as error:
        raise OAuthError(
            PublicError.MALFORMED_FORM, f"the form does not decode: {type(error).__name__}"
        ) from error
    values: dict[str, str] = {}
    resources: list[str] = []
    for name, value in decoded:
        if name not in known:
            continue
        if name in _REPEATABLE:
            resources.append(value)
        elif name in values:
            raise OAuthError(PublicError.REPEATED_PARAMETER, f"{name} is included more than once")
        else:
            values[name] = value
    return Form(
        {name: value for name, value in values.items() if value}, tuple(value for value in resources if value)
    )
