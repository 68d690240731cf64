"""A test's input as bytes, the way go-ftw puts it on the wire."""

import base64
import re
from typing import Final
from urllib.parse import quote_plus

from tests.conformance.schema import Input

FORM: Final = "application/x-www-form-urlencoded"
# go-ftw's own expression, with its precedence: what begins with POST, holds PUT or PATCH, ends with DELETE.
_WITH_BODY: Final = re.compile(r"^POST|PUT|PATCH|DELETE$")
# The one function of Go's templates that the suites use.
_TEMPLATE: Final = re.compile(r'\{\{-? *"([^"\\]*)" *\| *repeat +(\d+) *-?\}\}')
_BOUNDARY: Final = "multipart/form-data;"


class WireError(Exception):
    """An input means something that this runner can't send."""


def request(given: Input) -> bytes:
    """Return what is sent for an input.

    Raises:
        WireError: if it has a template that is not known here.
    """
    if given.encoded_request:
        return base64.b64decode(given.encoded_request, validate=False)
    if given.raw_request:
        return given.raw_request.encode()
    headers = list(given.headers.items())
    data = _data(given)
    complete = given.autocomplete_headers and not given.stop_magic
    if data and complete:
        if not _has(headers, "content-type"):
            headers.append(("Content-Type", FORM))
        if _value(headers, "content-type") == FORM:
            data = form(data)
    if _BOUNDARY in (_value(headers, "content-type") or ""):
        data = data.replace(b"\n", b"\r\n") if b"\r\n" not in data else data
    if complete:
        if not _has(headers, "connection"):
            headers.append(("Connection", "close"))
        has_length = data or (_WITH_BODY.search(given.method) and not given.of_older_schema)
        if has_length and not _has(headers, "content-length"):
            headers.append(("Content-Length", str(len(data))))
    lines = [f"{given.method} {given.uri} {given.version}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


def form(data: bytes) -> bytes:
    """Return a form's body, encoded unless it seems to be so already."""
    if b"%" in data or b"+" in data:
        return data
    fields = data.split(b"&")
    if fields[-1] == b"":
        fields.pop()
    return b"&".join(_field(field) for field in fields)


def _field(field: bytes) -> bytes:
    name, equals, value = field.partition(b"=")
    return quote_plus(name).encode() + equals + quote_plus(value).encode()


def _data(given: Input) -> bytes:
    if given.encoded_data:
        return base64.b64decode(given.encoded_data)
    text = given.data or ""
    if "{{" in text:
        text = _TEMPLATE.sub(lambda found: found[1] * int(found[2]), text)
        if "{{" in text:
            raise WireError(f"a template that is not known here: {text[text.index('{{') :][:60]}")
    return text.encode()


def _has(headers: list[tuple[str, str]], name: str) -> bool:
    return _value(headers, name) is not None


def _value(headers: list[tuple[str, str]], name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)


def body_kind(data: bytes) -> str | None:
    """Return which body a request has that not every engine reads: `multipart` or `xml`; None for another."""
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?im)^content-type[ \t]*:[ \t]*([^\r\n]*)", head)
    if found is None or not body:
        return None
    media = found[1].lower()
    return "multipart" if b"multipart/" in media else "xml" if b"xml" in media else None
