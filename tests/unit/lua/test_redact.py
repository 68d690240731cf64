"""lua/bartizan/redact.lua and text.lua: what logs may show."""

import json
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

JWT: Final = "eyJhbGciOiJSUzUxMiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua(encoding="latin-1")


@pytest.fixture(scope="module")
def redact(lua: Lua) -> Any:
    return lua.require("bartizan.redact")


@pytest.fixture(scope="module")
def printable(lua: Lua) -> Any:
    return lua.require("bartizan.text").printable


QUERIES: Final = [
    ("", ""),
    ("a", "a"),
    ("a=b", "a=b"),
    ("a=b&c=d", "a=b&c=d"),
    ("&&a=b&&", "&&a=b&&"),
    ("token=s3cret", "token=[redacted]"),
    ("a=b&token=s3cret&c=d", "a=b&token=[redacted]&c=d"),
    ("TOKEN=s3cret", "TOKEN=[redacted]"),
    ("access_token=s3cret;x=y", "access_token=[redacted];x=y"),
    ("x=y;password=s3cret", "x=y;password=[redacted]"),
    (
        "api-key=s3cret&apiKey=s3cret&api_key=s3cret",
        "api-key=[redacted]&apiKey=[redacted]&api_key=[redacted]",
    ),
    ("%74oken=s3cret", "%74oken=[redacted]"),
    ("user[password]=s3cret", "user[password]=[redacted]"),
    ("user%5Bpassword%5D=s3cret", "user%5Bpassword%5D=[redacted]"),
    ("csrf-token=s3cret", "csrf-token=[redacted]"),
    ("new_password=s3cret", "new_password=[redacted]"),
    ("code=s3cret&state=open", "code=[redacted]&state=open"),
    ("client_secret=s3cret=with=equals", "client_secret=[redacted]"),
    ("password1=s3cret&password2=s3cret", "password1=[redacted]&password2=[redacted]"),
    ("password_confirmation=s3cret", "password_confirmation=[redacted]"),
    ("token[]=s3cret&token[0]=s3cret", "token[]=[redacted]&token[0]=[redacted]"),
    ("a[password][x]=s3cret&a.pin=s3cret", "a[password][x]=[redacted]&a.pin=[redacted]"),
    ("a[b][c]=d&a.b=c", "a[b][c]=d&a.b=c"),
    ("x" * 300 + "_token=s3cret", "x" * 300 + "_token=[redacted]"),
    ("secret" * 60 + "s=open", "secret" * 60 + "s=open"),
    ("123=open&-=open&passwords=open", "123=open&-=open&passwords=open"),
    ("token=", "token="),
    ("token", "token"),
    ("=s", "=s"),
    ("tokens=3&passwords=yes&secretary=ada", "tokens=3&passwords=yes&secretary=ada"),
    ("keyboard=us&codec=h264&author=ada", "keyboard=us&codec=h264&author=ada"),
    (f"next={JWT}", "next=[redacted]"),
    (JWT, "[redacted]"),
]


@pytest.mark.parametrize(("query", "shown"), QUERIES)
def test_queries(redact: Any, query: str, shown: str) -> None:
    assert redact.query(query) == shown


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/a/b", "/a/b"),
        ("/a?token=s3cret", "/a?token=[redacted]"),
        ("/a?x?token=s3cret", "/a?x?token=[redacted]"),
        (f"/verify/{JWT}/x", "/verify/[redacted]/x"),
        ("/a;jsessionid=s3cret/b;v=1?c=d", "/a;jsessionid=[redacted]/b;v=1?c=d"),
        ("/a;v=1;%6Aession=x;token=s3cret", "/a;v=1;%6Aession=x;token=[redacted]"),
        ("/a;token=;token;=b", "/a;token=;token;=b"),
        ("/token=s3cret", "/token=s3cret"),
        ("http://user:pass@host/a?b=c", "http://[redacted]@host/a?b=c"),
        ("http://user:p@ss@host", "http://[redacted]@host"),
        ("http://host/a@b?c=d@e", "http://host/a@b?c=d@e"),
        ("/http://a:b@c", "/http://a:b@c"),
    ],
)
def test_targets(redact: Any, target: str, shown: str) -> None:
    assert redact.target(target) == shown


NAMES: Final = [
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    "client_assertion",
    "client_secret",
    "code",
    "id_token",
    "otp",
    "passwd",
    "password",
    "pwd",
    "refresh_token",
    "secret",
    "session",
    "sig",
    "signature",
    "token",
]
ARGUMENT: Final = st.text(alphabet="abcxyz019_-.%25", max_size=6)


@given(
    st.sampled_from(NAMES),
    st.text(
        alphabet=st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters="&;#"), min_size=8
    ),
    st.lists(st.tuples(ARGUMENT, ARGUMENT), max_size=4),
    st.integers(0, 4),
    st.sampled_from(["&", ";"]),
    st.booleans(),
)
def test_a_secret_never_shows(
    redact: Any,
    name: str,
    secret: str,
    others: list[tuple[str, str]],
    place: int,
    separator: str,
    encoded: bool,
) -> None:
    if encoded:
        name = "".join(f"%{ord(character):02x}" for character in name)
    marked = f"<<{secret}>>"
    arguments = [f"{key}={value}" for key, value in others]
    arguments.insert(min(place, len(arguments)), f"{name}={marked}")
    shown = redact.query(separator.join(arguments))
    assert marked not in shown
    assert "[redacted]" in shown


@given(st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_whatever_comes_something_is_shown(redact: Any, query: str) -> None:
    shown = redact.query(query)
    assert isinstance(shown, str)
    if "[redacted]" not in shown:
        assert shown == query


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"plain", "plain"),
        ("café".encode(), "café"),
        (b"\xff", r"\xff"),
        (b"a\xc3", r"a\xc3"),
        (b"\xe2\x82 \xe2\x82\xac", "\\xe2\\x82 €"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        (b"x" * 30, "x" * 20 + "..."),
    ],
)
def test_printable(printable: Any, text: bytes, shown: str) -> None:
    assert printable(text.decode("latin-1"), 20).encode("latin-1").decode() == shown


@given(st.binary(max_size=60), st.integers(0, 60))
def test_printable_is_always_utf8_and_bounded(printable: Any, data: bytes, bound: int) -> None:
    shown = printable(data.decode("latin-1"), bound).encode("latin-1")
    shown.decode("utf-8")
    assert len(shown) <= 4 * bound + 3
    if len(data) <= bound and b"\\x" not in data:
        try:
            assert shown == data or data.decode("utf-8") is None
        except UnicodeDecodeError:
            assert b"\\x" in shown


def test_encoded_names_of_any_kind(redact: Any) -> None:
    for name in NAMES:
        assert redact.query(f"{quote(name.upper())}=s3cret") == f"{quote(name.upper())}=[redacted]"


def test_what_is_remembered_is_bounded(lua: Lua, redact: Any) -> None:
    def queries(start: int) -> None:
        lua.execute(
            "local query, start = ... for i = start, start + 20000 do query('n' .. i .. '=1') end",
            redact.query,
            start,
        )

    queries(0)
    before = lua.memory()
    queries(100_000)
    assert lua.memory() < before + 500_000
    assert redact.query("token=x") == "token=[redacted]"


def test_shown_text_is_a_json_string_once_quoted(printable: Any) -> None:
    text = printable("".join(map(chr, range(256))), 1000)
    assert json.loads(json.dumps(text.encode("latin-1").decode())) == text.encode("latin-1").decode()
