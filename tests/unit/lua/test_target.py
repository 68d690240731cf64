"""lua/bartizan/target.lua: one reading of a request line, or none."""

import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua(encoding="latin-1")  # byte for byte


@pytest.fixture(scope="module")
def parse(lua: Lua) -> Any:
    return lua.require("bartizan.target").parse


READ: Final = [
    # request line, path, key, query, forward, authority
    ("GET / HTTP/1.1", "/", "/", None, "/", None),
    ("GET /a HTTP/1.0", "/a", "/a", None, "/a", None),
    ("GET /a/ HTTP/2.0", "/a/", "/a/", None, "/a/", None),
    ("POST /a?b=c HTTP/1.1", "/a", "/a", "b=c", "/a?b=c", None),
    ("GET /a? HTTP/1.1", "/a", "/a", "", "/a?", None),
    ("GET /a?b?c=/../%2f%zz//\\ HTTP/1.1", "/a", "/a", "b?c=/../%2f%zz//\\", "/a?b?c=/../%2f%zz//\\", None),
    ("GET /%7Euser/%41%2d HTTP/1.1", "/~user/A-", "/~user/A-", None, "/~user/A-", None),
    ("GET /a%20b%c3%a9 HTTP/1.1", "/a%20b%C3%A9", "/a%20b%C3%A9", None, "/a%20b%C3%A9", None),
    # Reserved characters stay as they came, but find the same route.
    ("GET /a%40b%3a HTTP/1.1", "/a%40b%3A", "/a@b:", None, "/a%40b%3A", None),
    ("GET /a@b: HTTP/1.1", "/a@b:", "/a@b:", None, "/a@b:", None),
    # What no path may hold raw, but browsers send.
    ("GET /[1]|{2} HTTP/1.1", "/%5B1%5D%7C%7B2%7D", "/%5B1%5D%7C%7B2%7D", None, "/%5B1%5D%7C%7B2%7D", None),
    # Decoded once, never twice.
    ("GET /%252e%252e/ HTTP/1.1", "/%252e%252e/", "/%252e%252e/", None, "/%252e%252e/", None),
    ("GET /.well-known/x HTTP/1.1", "/.well-known/x", "/.well-known/x", None, "/.well-known/x", None),
    ("GET /a/... HTTP/1.1", "/a/...", "/a/...", None, "/a/...", None),
    ("GET /a.. HTTP/1.1", "/a..", "/a..", None, "/a..", None),
    # The absolute form.
    ("GET http://h:8080/a?b HTTP/1.1", "/a", "/a", "b", "/a?b", "h:8080"),
    ("GET HTTPS://h HTTP/1.1", "/", "/", None, "/", "h"),
    ("GET http://h?x HTTP/1.1", "/", "/", "x", "/?x", "h"),
]


@pytest.mark.parametrize(("line", "path", "key", "query", "forward", "authority"), READ)
def test_what_is_read(
    parse: Any, line: str, path: str, key: str, query: str | None, forward: str, authority: str | None
) -> None:
    read = parse(line)
    assert not isinstance(read, tuple), read
    assert (read.path, read.key, read.query, read.forward, read.authority) == (
        path,
        key,
        query,
        forward,
        authority,
    )
    assert (read.method, read.protocol) == (line.split(" ", maxsplit=1)[0], line.rsplit(" ", maxsplit=1)[-1])


REFUSED: Final = [
    ("GET", 400, "bad_request", "without a target"),
    ("GET /", 400, "bad_request", "HTTP/0.9"),
    ("GET / HTTP/1.2", 505, "http_version_not_supported", "HTTP/1.2"),
    ("GET / HTTP/3.0", 505, "http_version_not_supported", "HTTP/3.0"),
    ("GET / HTTP/11.1", 505, "http_version_not_supported", "HTTP/11.1"),
    ("GET / http/1.1", 400, "bad_request", "METHOD SP TARGET SP PROTOCOL"),
    ("GET  / HTTP/1.1", 400, "bad_request", "METHOD SP TARGET SP PROTOCOL"),
    ("GET /  HTTP/1.1", 400, "bad_request", "METHOD SP TARGET SP PROTOCOL"),
    ("GET /a b HTTP/1.1", 400, "bad_request", "METHOD SP TARGET SP PROTOCOL"),
    ("GET a HTTP/1.1", 400, "bad_request", "neither in origin form"),
    ("GET * HTTP/1.1", 400, "bad_request", "neither in origin form"),
    ("GET h:80 HTTP/1.1", 400, "bad_request", "neither in origin form"),
    ("GET ftp://h/ HTTP/1.1", 400, "bad_request", "neither in origin form"),
    ("GET http:/// HTTP/1.1", 400, "bad_request", "without a host"),
    ("GET http://u@h/ HTTP/1.1", 400, "bad_request", "user information"),
    ("GET http://u:p@h/ HTTP/1.1", 400, "bad_request", "user information"),
    ("GET /a/../b HTTP/1.1", 400, "not_canonical", "dot segment"),
    ("GET /a/./b HTTP/1.1", 400, "not_canonical", "dot segment"),
    ("GET /.. HTTP/1.1", 400, "not_canonical", "dot segment"),
    ("GET /a/. HTTP/1.1", 400, "not_canonical", "dot segment"),
    ("GET /a/..?b HTTP/1.1", 400, "not_canonical", "dot segment"),
    ("GET /%2e%2E/a HTTP/1.1", 400, "not_canonical", "dot segment"),
    ("GET /a/.%2e HTTP/1.1", 400, "not_canonical", "dot segment"),
    ("GET //a HTTP/1.1", 400, "not_canonical", "empty segment"),
    ("GET /a// HTTP/1.1", 400, "not_canonical", "empty segment"),
    ("GET http://h//a HTTP/1.1", 400, "not_canonical", "empty segment"),
    ("GET /a%2fb HTTP/1.1", 400, "not_canonical", "%2F in the path"),
    ("GET /a%5Cb HTTP/1.1", 400, "not_canonical", "%5C in the path"),
    ("GET /a\\b HTTP/1.1", 400, "not_canonical", "byte 0x5c in the path"),
    ("GET http://h\\@evil/ HTTP/1.1", 400, "not_canonical", "byte 0x5c in the path"),
    ("GET /a#b HTTP/1.1", 400, "not_canonical", "byte 0x23 in the path"),
    ("GET /a?b#c HTTP/1.1", 400, "not_canonical", "byte 0x23 in the query"),
    ("GET /a\x01 HTTP/1.1", 400, "not_canonical", "byte 0x01 in the path"),
    ("GET /a\x7f HTTP/1.1", 400, "not_canonical", "byte 0x7f in the path"),
    ("GET /\xc3\xa9 HTTP/1.1", 400, "not_canonical", "byte 0xc3 in the path"),
    ("GET /?\xff HTTP/1.1", 400, "not_canonical", "byte 0xff in the query"),
    ("GET /?\t HTTP/1.1", 400, "not_canonical", "byte 0x09 in the query"),
    ("GET /%00 HTTP/1.1", 400, "not_canonical", "%00 in the path"),
    ("GET /%0d%0a HTTP/1.1", 400, "not_canonical", "%0D in the path"),
    ("GET /%7F HTTP/1.1", 400, "not_canonical", "%7F in the path"),
    ("GET /%zz HTTP/1.1", 400, "not_canonical", "without two hex digits"),
    ("GET /% HTTP/1.1", 400, "not_canonical", "without two hex digits"),
    ("GET /%4 HTTP/1.1", 400, "not_canonical", "without two hex digits"),
    ("GET /%u0041 HTTP/1.1", 400, "not_canonical", "without two hex digits"),
    ("GET /%c0%ae%c0%ae/ HTTP/1.1", 400, "not_canonical", "not UTF-8"),
    ("GET /%ff HTTP/1.1", 400, "not_canonical", "not UTF-8"),
    ("GET /%c3 HTTP/1.1", 400, "not_canonical", "not UTF-8"),
    ("GET /%c3/%a9 HTTP/1.1", 400, "not_canonical", "not UTF-8"),
]


@pytest.mark.parametrize(("line", "status", "code", "reason"), REFUSED)
def test_what_is_refused(parse: Any, line: str, status: int, code: str, reason: str) -> None:
    read, got_status, got_code, got_reason = parse(line)
    assert (read, got_status, got_code) == (None, status, code)
    assert reason in got_reason


def test_arguments_are_counted(parse: Any) -> None:
    assert parse("GET /?" + "&" * 999 + " HTTP/1.1").query == "&" * 999
    assert parse("GET /?" + "&" * 1000 + " HTTP/1.1")[3] == "more than 1000 arguments in the query"


BYTES: Final = st.binary(max_size=40).map(lambda data: data.decode("latin-1"))
PIECES: Final = st.lists(
    st.sampled_from(
        ["/", "a", ".", "..", "%2e", "%41", "%2F", "%C3%A9", "%c3", "%", "~", "@", "%40", "[", "?"]
    ),
    max_size=10,
).map("".join)


@given(BYTES)
def test_any_line_is_read_or_refused(parse: Any, line: str) -> None:
    read = parse(line)
    if isinstance(read, tuple):
        assert read[0] is None
        assert read[1] in {400, 505}


@given(st.one_of(BYTES, PIECES))
def test_a_path_that_is_read_has_one_reading(parse: Any, raw: str) -> None:
    read = parse(f"GET /{raw} HTTP/1.1")
    if isinstance(read, tuple):
        return
    path = read.path
    # What may stand in a path (RFC 3986 section 3.3), with hex in one spelling.
    assert re.fullmatch(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})*)+", path)
    decoded = unquote_to_bytes(path)
    decoded.decode("utf-8")
    segments = path.split("/")[1:]
    assert not {".", ".."} & set(segments)
    assert "" not in segments[:-1]
    # The reading is a fixed point: whoever reads again reads the same.
    again = parse(f"GET {read.forward} HTTP/1.1")
    assert (again.path, again.key, again.query) == (path, read.key, read.query)
    # No unreserved character is left encoded.
    assert not re.search(r"%(?:4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9AE]|3[0-9]|2D|2E|5F)", path)
    # What was sent and what is forwarded are the same resource.
    assert decoded == unquote_to_bytes(("/" + raw).split("?")[0].encode("latin-1"))
