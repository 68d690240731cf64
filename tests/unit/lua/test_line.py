"""lua/bartizan/line.lua: a value for nginx, composed piece by piece. nginx's own function is stood in for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

# The modules and the function of ngx_lua that the module needs; what is assigned comes back from `assigned`.
_STAND_INS = """
    local ffi = require("ffi")
    package.loaded["resty.core.base"] = { get_request = function() return "request" end }
    package.loaded["resty.core.var"] = true
    package.loaded["ffi"] = setmetatable({
        C = {
            ngx_http_lua_ffi_var_set = function(_, name, _, _, value, length, problem, size)
                if name == "unknown" then
                    ffi.copy(problem, "no such variable")
                    size[0] = #"no such variable"
                    return -1
                end
                assigned = name .. "=" .. ffi.string(value, length)
                return 0
            end,
        },
    }, { __index = ffi })
    local line = require("bartizan.line")
    local variable = line.variable("some")
    return line, function(compose)
        line.begin()
        compose(line)
        line.assign(variable)
        return assigned
    end
"""


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua()


@pytest.fixture(scope="module")
def composed(lua: Lua) -> Callable[..., str]:
    """Return a function that composes `some`, and tells what nginx got."""
    _line, compose = lua.execute(_STAND_INS)

    def run(*steps: tuple[str, Any]) -> str:
        def put(line: Any) -> None:
            for name, arguments in steps:
                line[name](*arguments)

        return str(compose(put))

    return run


@given(pieces=st.lists(st.text('abc:\r\n "', max_size=40), max_size=30))
def test_pieces_follow_one_another(composed: Callable[..., str], pieces: list[str]) -> None:
    assert composed(*(("put", (piece,)) for piece in pieces)) == "some=" + "".join(pieces)


@given(number=st.integers(1, 10**14))
def test_digits(composed: Callable[..., str], number: int) -> None:
    assert composed(("put", ("<",)), ("digits", (number,)), ("put", (">",))) == f"some=<{number}>"


@pytest.mark.parametrize("power", range(15))
def test_digits_around_powers_of_ten(composed: Callable[..., str], power: int) -> None:
    for number in {max(1, 10**power - 1), 10**power, min(10**14, 10**power + 1)}:
        assert composed(("digits", (number,))) == f"some={number}"


@given(number=st.integers(-(2**31), 2**31 - 1))
def test_an_id_is_written_as_its_text(lua: Lua, composed: Callable[..., str], number: int) -> None:
    text = lua.require("bartizan.random").text("f0" * 12, number)
    assert re.fullmatch("[0-9a-f]{32}", text)
    assert composed(("id", ("f0" * 12, number))) == f"some={text}"


def test_a_value_over_the_buffer_is_refused_and_the_next_is_whole(composed: Callable[..., str]) -> None:
    piece = "x" * 4096
    assert composed(*[("put", (piece,))] * 16) == "some=" + piece * 16
    with pytest.raises(Exception, match="a value of more than 69632 bytes"):
        composed(*[("put", (piece,))] * 18)
    assert composed(("put", ("short",))) == "some=short"


@pytest.mark.usefixtures("composed")
def test_a_variable_that_nginx_does_not_take_is_told(lua: Lua) -> None:
    line = lua.require("bartizan.line")
    line.begin()
    with pytest.raises(Exception, match=r"could not assign \$unknown: no such variable"):
        line.assign(line.variable("unknown"))
