"""lua/bartizan/headers.lua: which names and values may pass, and what is taken away."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua(encoding="latin-1")


@pytest.fixture(scope="module")
def headers(lua: Lua) -> Any:
    return lua.require("bartizan.headers")


@pytest.fixture(scope="module")
def plain(lua: Lua) -> Any:
    """Return is_plain for a string."""
    return lua.execute(
        """
        local ffi = require("ffi")
        local is_plain = require("bartizan.headers").is_plain
        return function(text) return is_plain(ffi.cast("const unsigned char *", text), #text) end
        """
    )


# nginx overwrites these by their exact name; every other spelling must go.
SET_BY_NGINX: Final = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "x-client-id",
    "x-scopes",
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "authorization",
    "traceparent",
]
ALWAYS_DROPPED: Final = [
    "client-cert",
    "client-cert-chain",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "proxy",
    "proxy-authorization",
    "proxy-connection",
    "trailer",
    "x-forwarded",
    "x-forwarded-prefix",
    "x-forwarded-client-cert",
    "http2-settings",
]
KEPT: Final = [
    "accept",
    "user-agent",
    "cookie",
    "content-type",
    "x-custom_name",
    "x.dotted",
    "proxy-x",
    "clientcert",
    "x-forwarder",
    "forwarded-for",
    "x-real",
    "sec-websocket-key",
]


@pytest.mark.parametrize("name", SET_BY_NGINX)
def test_names_that_nginx_overwrites(headers: Any, name: str) -> None:
    assert not headers.name(name).drop
    assert not headers.name(name.title()).drop
    for other in {name.replace("-", "_"), name.replace("-", "."), name.upper().replace("-", "_", 1)} - {
        name,
        name.upper(),
    }:
        assert headers.name(other).drop, other


@pytest.mark.parametrize("name", ALWAYS_DROPPED)
def test_names_that_never_pass(headers: Any, name: str) -> None:
    for spelling in (name, name.title(), name.upper(), name.replace("-", "_"), name.replace("-", ".")):
        judged = headers.name(spelling)
        assert judged.drop, spelling
        assert judged.lower == spelling.lower()


@pytest.mark.parametrize("name", KEPT)
def test_names_that_pass(headers: Any, name: str) -> None:
    assert not headers.name(name).drop
    assert not headers.name(name).refuse


@pytest.mark.parametrize(
    "name", ["", "a b", "a(b", "a\x00", "a\x7f", "a:", "\xe9", '"a"', "a@b", "a/b", "a[b]"]
)
def test_names_that_are_none(headers: Any, name: str) -> None:
    assert headers.name(name).refuse


def test_every_token_character_is_a_name(headers: Any) -> None:
    token = "!#$%&'*+-.^_`|~" + "".join(map(chr, [*range(48, 58), *range(65, 91), *range(97, 123)]))
    for code in range(256):
        assert headers.name(f"x{chr(code)}").refuse == (chr(code) not in token), code


def test_what_is_remembered_is_bounded(lua: Lua, headers: Any) -> None:
    def names(start: int) -> None:
        lua.execute(
            "local name, start = ... for i = start, start + 20000 do name('x-' .. i) end", headers.name, start
        )

    names(0)
    before = lua.memory()
    names(100_000)
    assert lua.memory() < before + 500_000
    assert headers.name("x_real_ip").drop


VALUES: Final = [
    ("", None),
    ("plain value", None),
    ("tab\there", None),
    ("caf\xc3\xa9 \xf0\x9f\x98\x80", None),
    ("\xff", "not UTF-8"),
    ("caf\xe9", "not UTF-8"),
    ("\xed\xa0\x80", "not UTF-8"),
    ("a\x00", "byte 0x00"),
    ("a\x1b[0m", "byte 0x1b"),
    ("a\x7f", "byte 0x7f"),
    ("a\r", "byte 0x0d"),
]


@pytest.mark.parametrize(("value", "problem"), VALUES)
def test_values(headers: Any, value: str, problem: str | None) -> None:
    found = headers.value_problem(value)
    assert (found is None) if problem is None else (problem in found)


@given(st.binary(max_size=40).map(lambda data: data.decode("latin-1")))
def test_a_quick_look_never_misses_anything(headers: Any, plain: Any, value: str) -> None:
    if plain(value):
        assert headers.value_problem(value) is None
        assert all(" " <= character <= "~" for character in value)


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80))
def test_a_quick_look_is_enough_for_printable_ascii(plain: Any, value: str) -> None:
    assert plain(value)


@given(st.binary(max_size=20))
def test_values_are_judged_as_python_would(headers: Any, data: bytes) -> None:
    try:
        good = all(
            character == "\t" or (character >= " " and character != "\x7f") for character in data.decode()
        )
    except UnicodeDecodeError:
        good = False
    assert (headers.value_problem(data.decode("latin-1")) is None) == good


@pytest.mark.parametrize(
    ("value", "dropped"),
    [
        ("keep-alive", []),
        ("close", []),
        ("Upgrade", []),
        ("keep-alive, Upgrade", []),
        ("TE, close", []),
        ("X-Hop", ["x-hop"]),
        ("close,X-Hop ,\tX-Other", ["x-hop", "x-other"]),
        (",,", []),
        ("", []),
    ],
)
def test_connection(lua: Lua, headers: Any, value: str, dropped: list[str]) -> None:
    found = headers.connection(value, None)
    assert (lua.python(found) if found is not None else []) == dropped


def test_connection_adds_to_what_is_dropped_already(lua: Lua, headers: Any) -> None:
    drop = lua.table(["first"])
    assert lua.python(headers.connection(lua.table(["close", "x-hop"]), drop)) == ["first", "x-hop"]


@pytest.mark.parametrize(
    "name", ["Authorization", "host", "Content-Length", "content_length", "Cookie", "Transfer.Encoding"]
)
def test_connection_can_not_take_away_what_is_judged(headers: Any, name: str) -> None:
    drop, reason = headers.connection(f"close, {name}", None)
    assert drop is None
    assert reason == f"Connection lists {name.lower()}, which is not the connection's"


TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
PARENT: Final = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", True),
        (f"cc-{TRACE}-{PARENT}-01.what", False),
        (f"00-{TRACE}-{PARENT}-01-more", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE[1:]}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT[1:]}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}", False),
        (f"0-{TRACE}-{PARENT}-01", False),
        (f" 00-{TRACE}-{PARENT}-01", False),
        ("", False),
        ("x", False),
    ],
)
def test_traceparent(headers: Any, value: str, valid: bool) -> None:
    assert headers.is_traceparent(value) == valid


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("example.org", "example.org"),
        ("EXAMPLE.org:8443", "example.org"),
        ("example.org.", "example.org"),
        ("localhost", "localhost"),
        ("under_score", "under_score"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("[::1]:443", "[::1]"),
        ("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]"),
    ],
)
def test_hosts(headers: Any, value: str, host: str) -> None:
    assert headers.read_host(value) == host


@pytest.mark.parametrize(
    "value",
    [
        "",
        ":80",
        "a:",
        "a:123456",
        "a:80:80",
        "a b",
        "a/b",
        "u@a",
        "a?b",
        "a#b",
        "a\\b",
        "a..b",
        ".a",
        "..",
        "::1",
        "[::1",
        "[]",
        "[::1]x",
        "a,b",
        "a\x00",
        "\xe9",
        "a" * 254 + ":12345",
        "%61",
        "a;b",
        '"',
    ],
)
def test_hosts_that_are_none(headers: Any, value: str) -> None:
    assert headers.read_host(value) is None
