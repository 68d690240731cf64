"""lua/bartizan/keysets/response.lua: what an issuer's address may send, in all its forms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua(encoding="latin-1")


def parse(lua: Lua, raw: bytes) -> Any:
    response = lua.require("bartizan.keysets.response").parse(raw)
    return response[1] if isinstance(response, tuple) else lua.python(response)


def answer(*fields: str, status: str = "200 OK", body: str = "{}") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Server: nginx", *fields, "", body]).encode()


def test_a_plain_answer(lua: Lua) -> None:
    raw = answer(
        "Content-Type: application/json", "Content-Length: 2", 'ETag: "abc"', "Cache-Control: max-age=60"
    )
    assert parse(lua, raw) == {"status": 200, "body": "{}", "etag": '"abc"', "fresh": 60}


def test_nothing_but_a_status(lua: Lua) -> None:
    assert parse(lua, b"HTTP/1.0 304\r\n\r\n") == {"status": 304, "body": ""}


@pytest.mark.parametrize(
    ("fields", "fresh"),
    [
        ([], None),
        (["Cache-Control: public"], None),
        (["Cache-Control: max-age=300"], 300),
        (["cache-control:max-age=300"], 300),
        (["Cache-Control: public, max-age=300, must-revalidate"], 300),
        (["Cache-Control: PUBLIC, Max-Age = 300"], 300),
        (['Cache-Control: max-age="300"'], 300),
        (["Cache-Control: public", "Cache-Control: max-age=300"], 300),
        (["Cache-Control: s-maxage=300"], None),
        (["Cache-Control: x-max-age=300"], None),
        (["Cache-Control: max-age=-1"], None),
        (["Cache-Control: max-age=soon"], None),
        (["Cache-Control: max-age="], None),
        (["Cache-Control: no-store, max-age=300"], 0),
        (["Cache-Control: max-age=300, no-cache"], 0),
        (["Cache-Control: max-age=300", "Age: 100"], 200),
        (["Cache-Control: max-age=300", "Age: 400"], 0),
        (["Cache-Control: max-age=300", "Age: old"], 300),
    ],
)
def test_freshness(lua: Lua, fields: list[str], fresh: int | None) -> None:
    assert parse(lua, answer(*fields)).get("fresh") == fresh


@pytest.mark.parametrize(
    ("etag", "kept"),
    [
        ('"abc"', True),
        ('W/"abc"', True),
        ('""', True),
        ("abc", False),
        ('"a b"', False),
        ('"a"b"', False),
        ('"' + "x" * 255 + '"', False),
        ('"caf\u00e9"', False),
    ],
)
def test_an_etag_is_kept_if_it_is_one(lua: Lua, etag: str, kept: bool) -> None:
    assert parse(lua, answer(f"ETag: {etag}")).get("etag") == (etag if kept else None)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no HTTP response"),
        (b"{}", "no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nServer: nginx\r\n", "no HTTP response"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "no HTTP response"),
        (b"HTTP/2 200 OK\r\n\r\n", "no HTTP response"),
        (b" HTTP/1.1 200 OK\r\n\r\n", "no HTTP response"),
        (answer("Content-Length: 3"), "cut off"),
        (answer("Content-Length: 1"), "cut off"),
        (answer("Content-Length: 2, 2"), "cut off"),
    ],
)
def test_what_is_no_answer(lua: Lua, raw: bytes, reason: str) -> None:
    assert reason in parse(lua, raw)


def test_the_body_is_left_alone(lua: Lua) -> None:
    body = "\r\n\r\nHTTP/1.1 500 No\r\n\r\n\x00\u00ff"
    assert parse(lua, answer(body=body))["body"].encode("latin-1") == body.encode()


@given(raw=st.binary(max_size=200))
def test_nothing_makes_it_fail(lua: Lua, raw: bytes) -> None:
    assert isinstance(parse(lua, raw), str | dict)
    assert isinstance(parse(lua, b"HTTP/1.1 200 OK\r\n" + raw), str | dict)
