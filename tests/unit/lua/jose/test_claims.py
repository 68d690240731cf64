"""lua/bartizan/jose/claims.lua: each character, and the clock to the second."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

GOOD = {"iss": "https://issuer.test", "aud": "data", "client_id": "demo", "exp": 1000}


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua(encoding="latin-1")


def read(lua: Lua, **changes: Any) -> Any:
    facts = lua.require("bartizan.jose.claims").read(lua.table({**GOOD, **changes}), GOOD["iss"])
    return facts if not isinstance(facts, tuple) else facts[1]


@pytest.mark.parametrize("byte", range(256))
def test_characters_of_a_scope(lua: Lua, byte: int) -> None:
    """RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )."""
    facts = read(lua, scope=b"a" + bytes([byte]) + b"b")
    if byte == 0x21 or 0x23 <= byte <= 0x5B or 0x5D <= byte <= 0x7E:
        assert lua.python(facts.scopes) == {f"a{chr(byte)}b": True}
    elif byte == 0x20:
        assert lua.python(facts.scopes) == {"a": True, "b": True}
    else:
        assert facts == "scope is no list of scopes in a string"


@pytest.mark.parametrize("byte", range(256))
def test_characters_of_a_client(lua: Lua, byte: int) -> None:
    """RFC 6749 appendix A.1: client-id = *( %x20-7E )."""
    facts = read(lua, client_id=b"a" + bytes([byte]) + b"b")
    if 0x20 <= byte <= 0x7E:
        assert facts.client == f"a{chr(byte)}b"
    else:
        assert facts == "token names no usable client"


def test_the_client_is_client_id_then_azp_then_sub(lua: Lua) -> None:
    assert read(lua, azp="portal", sub="user").client == "demo"
    assert read(lua, client_id=None, azp="portal", sub="user").client == "portal"
    assert read(lua, client_id=None, sub="user").client == "user"


@pytest.mark.parametrize(
    ("times", "now", "skew", "refusal"),
    [
        ({"exp": 1000}, 999, 0, None),
        ({"exp": 1000}, 1000, 0, "token has expired"),
        ({"exp": 1000}, 1001, 0, "token has expired"),
        ({"exp": 1000}, 1004, 5, None),
        ({"exp": 1000}, 1005, 5, "token has expired"),
        ({"exp": 1000.5}, 1000, 0, None),
        ({"exp": 1000.5}, 1001, 0, "token has expired"),
        ({"exp": 1000, "nbf": 500}, 500, 0, None),
        ({"exp": 1000, "nbf": 500}, 499, 0, "token is not valid yet"),
        ({"exp": 1000, "nbf": 500}, 495, 5, None),
        ({"exp": 1000, "nbf": 500}, 494, 5, "token is not valid yet"),
        ({"exp": 1000, "iat": 500}, 500, 0, None),
        ({"exp": 1000, "iat": 500}, 499, 0, "token is issued in the future"),
        ({"exp": 1000, "iat": 500}, 495, 5, None),
        ({"exp": 1000, "iat": 500}, 494, 5, "token is issued in the future"),
        ({"exp": 1000, "nbf": 2000}, 1500, 0, "token has expired"),
    ],
)
def test_times(lua: Lua, times: dict[str, float], now: int, skew: int, refusal: str | None) -> None:
    facts = read(lua, **times)
    assert lua.require("bartizan.jose.claims").refusal(facts, now, skew) == refusal


SCOPES = re.compile(r"[!#-\[\]-~]+( [!#-\[\]-~]+)*")


@given(scope=st.text('ab "\\~\x7f\u00e9', max_size=12))
def test_a_scope_is_read_as_the_grammar_has_it(lua: Lua, scope: str) -> None:
    """RFC 6749 section 3.3: scope-tokens with one space between any two."""
    read = lua.require("bartizan.jose.claims").read
    facts = read(lua.table({**GOOD, "scope": scope}), GOOD["iss"])
    if scope and not SCOPES.fullmatch(scope):
        assert facts == (None, "scope is no list of scopes in a string")
    else:
        assert set(facts.scopes) == set(scope.split())
        assert facts.scope == scope
    is_scope = lua.require("bartizan.jose.claims").is_scope(scope)
    assert is_scope == bool(SCOPES.fullmatch(scope) and " " not in scope)
