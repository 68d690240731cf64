"""Forms have one reading or none (RFC 6749 section 3.2 and appendix B)."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokendealer.rfc6749.errors import OAuthError, PublicError
from tokendealer.rfc6749.form import FORM, Form, form_decode, read_form

KNOWN = frozenset({"a", "b", "resource"})

READ = {
    b"": Form({}),
    b"a=1&b=2": Form({"a": "1", "b": "2"}),
    b"a=1&&b=2&": Form({"a": "1", "b": "2"}),
    b"a=": Form({}),
    b"a": Form({}),
    b"a=b=c": Form({"a": "b=c"}),
    b"a=x+y%20z%2Bw": Form({"a": "x y z+w"}),
    b"%61=1": Form({"a": "1"}),
    b"a=%C3%A4\xc3\xa4": Form({"a": "ää"}),
    b"a=%00": Form({"a": "\0"}),
    b"x=1&x=2&a=1": Form({"a": "1"}),
    b"resource=1&resource=&resource=2": Form({}, ("1", "2")),
    b"a=1;b=2": Form({"a": "1;b=2"}),
}


@pytest.mark.parametrize(("body", "form"), READ.items())
def test_what_is_read(body: bytes, form: Form) -> None:
    assert read_form(FORM, body, KNOWN) == form


REFUSED = {
    b"a=1&a=1": PublicError.REPEATED_PARAMETER,
    b"a=1&%61=1": PublicError.REPEATED_PARAMETER,
    b"a=&a=1": PublicError.REPEATED_PARAMETER,
    b"a=%": PublicError.MALFORMED_FORM,
    b"a=%4": PublicError.MALFORMED_FORM,
    b"a=%zz": PublicError.MALFORMED_FORM,
    b"a=%u1234": PublicError.MALFORMED_FORM,
    b"a=%FF": PublicError.MALFORMED_FORM,
    b"a=%C0%80": PublicError.MALFORMED_FORM,
    b"a=%ED%A0%80": PublicError.MALFORMED_FORM,
    b"a=\xff": PublicError.MALFORMED_FORM,
    b"x=%zz": PublicError.MALFORMED_FORM,
}


@pytest.mark.parametrize(("body", "public"), REFUSED.items())
def test_what_is_refused(body: bytes, public: PublicError) -> None:
    with pytest.raises(OAuthError) as refused:
        read_form(FORM, body, KNOWN)
    assert refused.value.public is public


@pytest.mark.parametrize("content_type", [FORM, FORM.upper(), f" {FORM} ", f"{FORM};charset=UTF-8"])
def test_a_form(content_type: str) -> None:
    assert read_form(content_type, b"a=1", KNOWN) == Form({"a": "1"})


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/json", f"{FORM}x", f"x{FORM}", f"{FORM}, text/plain", "text/plain"],
)
def test_not_a_form(content_type: str | None) -> None:
    with pytest.raises(OAuthError) as refused:
        read_form(content_type, b"a=1", KNOWN)
    assert refused.value.public is PublicError.NOT_A_FORM


def test_a_missing_parameter() -> None:
    form = read_form(FORM, b"a=&b=1", KNOWN)
    assert form.require("b") == "1"
    with pytest.raises(OAuthError) as refused:
        form.require("a")
    assert refused.value.public is PublicError.MISSING_PARAMETER


@given(st.text())
def test_decoding_reverses_encoding(text: str) -> None:
    assert form_decode(quote_plus(text)) == text


@given(st.dictionaries(st.sampled_from(sorted(KNOWN - {"resource"})), st.text()))
def test_reading_reverses_writing(values: dict[str, str]) -> None:
    form = read_form(FORM, urlencode(values).encode(), KNOWN)
    assert form.values == {name: value for name, value in values.items() if value}


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    form = None
    with suppress(OAuthError):
        form = read_form(FORM, body, KNOWN)
    assert form is None or (set(form.values) <= KNOWN and all(form.values.values()))
