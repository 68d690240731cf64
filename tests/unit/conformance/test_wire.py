"""What is put on the wire for an input: what go-ftw puts there."""

import base64
from typing import Any

import pytest

from tests.conformance.schema import Input
from tests.conformance.wire import WireError, body_kind, form, request


def sent(**fields: Any) -> bytes:
    return request(Input(**fields))


def test_a_get() -> None:
    assert sent(uri="/a?b=c", headers={"Host": "localhost"}) == (
        b"GET /a?b=c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )


def test_nothing_of_the_request_line_is_repaired() -> None:
    assert (
        sent(method="", uri="/ x", version="", headers={"Connection": "x"})
        == b" / x \r\nConnection: x\r\n\r\n"
    )


def test_a_body_gets_the_headers_of_a_form() -> None:
    assert sent(method="POST", data="a=b c&d") == (
        b"POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Connection: close\r\nContent-Length: 7\r\n\r\na=b+c&d"
    )


def test_a_post_without_a_body_has_a_length() -> None:
    assert b"Content-Length: 0\r\n" in sent(method="POST")
    assert b"Content-Length" not in sent(method="GET")
    # Some tests of the older suite are about a POST without one.
    assert b"Content-Length" not in sent(method="POST", of_older_schema=True)
    assert b"Content-Length: 3\r\n" in sent(method="POST", data="a=b", of_older_schema=True)


def test_headers_that_are_there_stay() -> None:
    headers = {"content-type": "application/json", "content-length": "99", "connection": "keep-alive"}
    assert sent(method="POST", headers=headers, data='{"a": "b c"}') == (
        b"POST / HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 99\r\n"
        b'connection: keep-alive\r\n\r\n{"a": "b c"}'
    )


@pytest.mark.parametrize("off", [{"autocomplete_headers": False}, {"stop_magic": True}])
def test_without_completion_nothing_is_added(off: dict[str, bool]) -> None:
    assert sent(method="POST", data="a=b c", **off) == b"POST / HTTP/1.1\r\n\r\na=b c"


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (b"a=<b>&c", b"a=%3Cb%3E&c"),
        (b"a=b=c", b"a=b%3Dc"),
        (b"a=1&", b"a=1"),
        (b"a=%3C<", b"a=%3C<"),
        (b"a=b+c d", b"a=b+c d"),
        (b"a=\xff", b"a=%FF"),
        (b"x-_.~", b"x-_.~"),
    ],
)
def test_a_form_is_encoded_unless_it_seems_to_be(data: bytes, encoded: bytes) -> None:
    assert form(data) == encoded


def test_the_lines_of_a_multipart_body_end_as_they_must() -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert sent(method="POST", headers=headers, data="--x\na\n").endswith(b"\r\n\r\n--x\r\na\r\n")
    assert sent(method="POST", headers=headers, data="--x\r\na").endswith(b"\r\n\r\n--x\r\na")


def test_a_whole_request_is_sent_as_it_is() -> None:
    raw = b"\x00\xffnot http\n"
    assert sent(encoded_request=base64.b64encode(raw).decode(), method="PUT") == raw
    assert sent(raw_request="GET / HTTP/1.0\r\n\r\n\xac") == b"GET / HTTP/1.0\r\n\r\n\xc2\xac"


def test_encoded_data() -> None:
    data = base64.b64encode(b"\x01\x02").decode()
    assert sent(encoded_data=data, headers={"Content-Type": "a/b"}).endswith(b"\r\n\r\n\x01\x02")


def test_the_template_that_repeats() -> None:
    assert sent(data='x={{ "12" | repeat 3 }}', stop_magic=True).endswith(b"\r\n\r\nx=121212")
    with pytest.raises(WireError, match="template"):
        sent(data="x={{ env }}")
    assert b"{{7*7}}" in sent(uri="/?x={{7*7}}")


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("multipart/form-data; boundary=x", "a", "multipart"),
        ("Text/XML", "<a/>", "xml"),
        ("application/soap+xml", "<a/>", "xml"),
        ("text/xml", "", None),
        ("application/json", "{}", None),
    ],
)
def test_the_kind_of_a_body(content_type: str, body: str, kind: str | None) -> None:
    assert body_kind(sent(headers={"Content-Type": content_type}, data=body)) == kind
