"""lua/bartizan/json.lua: the case file under both LuaJITs, and hypothesis against Python's json."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua, luajit

CASES = Path(__file__).parents[2] / "cases"
FILE = CASES / "json.json"


def dump(value: Any) -> str:
    """Write a value in the notation of json_cases.lua."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return "'" + value.encode().hex()
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    if isinstance(value, dict):
        if value.keys() == {"boxed"}:
            return f"boxed {value['boxed']}"
        return "{" + ",".join(sorted(f"{k.encode().hex()}:{dump(v)}" for k, v in value.items())) + "}"
    return f"{value:.17g}"


def load_cases() -> dict[str, dict[str, Any]]:
    cases = json.loads(FILE.read_text())["cases"]
    by_name = {case["name"]: case for case in cases}
    assert len(by_name) == len(cases) > 200
    return by_name


EXPECTED = load_cases()


def outcomes(engine: str) -> dict[str, str]:
    if engine == "lupa":
        lines = Lua().require("cases.json_cases").run(str(FILE))
    else:
        lines = luajit(CASES / "json_cases.lua", str(FILE))
    pairs = [line.split("\t") for line in lines.splitlines()]
    assert len(pairs) == len(EXPECTED)
    return dict(pairs)


@pytest.fixture(scope="module", params=["lupa", "luajit"])
def observed(request: pytest.FixtureRequest) -> dict[str, str]:
    return outcomes(request.param)


@pytest.mark.parametrize("name", EXPECTED)
def test_case(observed: dict[str, str], name: str) -> None:
    case = EXPECTED[name]
    if "refused" in case:
        assert observed[name].startswith("refused: ")
        assert case["refused"] in observed[name]
    else:
        assert observed[name] == dump(case["value"])


# --- Against Python's json ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcome() -> Callable[[bytes], str]:
    lua = Lua()
    run = lua.require("cases.json_cases").outcome
    limits = lua.table({"depth": 100, "count": 100_000, "exact": False})

    def outcome(text: bytes) -> str:
        return str(run(text, limits))

    return outcome


class RefusedError(ValueError):
    """What json.lua refuses and Python's json takes."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise RefusedError("duplicate name")
    return dict(pairs)


def refuse_constant(name: str) -> None:
    raise RefusedError(name)


def integer(text: str) -> Any:
    return float(text) if abs(int(text)) < 2**53 else {"boxed": text}


def real(text: str) -> Any:
    value = float(text)
    underflow = value == 0 and text.lower().partition("e")[0].strip("-0.") != ""
    return {"boxed": text} if math.isinf(value) or underflow else value


def python_outcome(text: bytes) -> str:
    """What Python's json makes of a text once its liberties are taken from it.

    Duplicate names; NaN and Infinity; numbers that a double cannot hold; lone surrogates (which dump cannot
    encode); encodings other than UTF-8 (given bytes, json.loads guesses UTF-16 and UTF-32).
    """
    try:
        value = json.loads(
            text.decode(),
            object_pairs_hook=unique,
            parse_constant=refuse_constant,
            parse_int=integer,
            parse_float=real,
        )
        return dump(value)
    except (ValueError, RecursionError):
        return "refused"


def same(ours: str, theirs: str) -> bool:
    return ours.startswith("refused: ") if theirs == "refused" else ours == theirs


# Names are short so that duplicates happen, and "boxed" is dump()'s own.
names = st.text(alphabet='ab\u00e9\U0001f600\x00\\"', max_size=2)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)


@given(value=values, ascii_only=st.booleans(), indent=st.sampled_from([None, 1, "\t"]))
def test_what_python_writes_is_read(
    outcome: Callable[[bytes], str], value: Any, ascii_only: bool, indent: int | str | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert outcome(text.encode()) == dump(value)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A JSON text in which a few bytes were taken out, put in or changed."""
    text = bytearray(json.dumps(draw(values), ensure_ascii=draw(st.booleans())).encode())
    interesting = st.sampled_from(
        list(b'{}[]",:\\u0123456789abcdefDd8+-.eE nt\x00\n\xc3\xa9\xed\xa0\xf4\xff')
    )
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        match draw(st.sampled_from(["insert", "delete", "change", "double"])):
            case "insert":
                text.insert(at, draw(interesting))
            case "delete":
                del text[at : at + draw(st.integers(1, 3))]
            case "change" if at < len(text):
                text[at] = draw(interesting)
            case _:
                text[at:at] = text[max(0, at - draw(st.integers(1, 12))) : at]
    return bytes(text)


def assert_agreement(outcome: Callable[[bytes], str], text: bytes) -> None:
    ours, theirs = outcome(text), python_outcome(text)
    assert same(ours, theirs), (text, ours, theirs)


@given(text=damaged())
def test_agreement_on_damaged_text(outcome: Callable[[bytes], str], text: bytes) -> None:
    assert_agreement(outcome, text)


SOUP = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    '"b"',
    '"\\u00e9"',
    '"',
    "1",
    "-0",
    "01",
    "1.5",
    "1e5",
    "-",
    ".",
    "null",
    "NaN",
]


@given(tokens=st.lists(st.sampled_from(SOUP)))
def test_agreement_on_token_soup(outcome: Callable[[bytes], str], tokens: list[str]) -> None:
    assert_agreement(outcome, "".join(tokens).encode())


@given(text=st.binary(max_size=40))
def test_agreement_on_any_bytes(outcome: Callable[[bytes], str], text: bytes) -> None:
    assert_agreement(outcome, b'"' + text + b'"')
    assert_agreement(outcome, text)


@given(
    sign=st.sampled_from(["", "-"]),
    whole=st.integers(0, 10**40).map(str),
    fraction=st.none() | st.text("0123456789", min_size=1, max_size=40),
    exponent=st.none() | st.integers(-400, 400) | st.integers(-(10**12), 10**12),
)
def test_agreement_on_numbers(
    outcome: Callable[[bytes], str], sign: str, whole: str, fraction: str | None, exponent: int | None
) -> None:
    """Equal to the last bit, and boxed exactly where a double cannot hold the number."""
    text = sign + whole + (f".{fraction}" if fraction else "") + ("" if exponent is None else f"e{exponent}")
    ours, theirs = outcome(text.encode()), python_outcome(text.encode())
    # A zero with an exponent beyond a million loses its sign here; nothing depends on that.
    assert ours == theirs or {ours, theirs} == {"0", "-0"}, text


# --- Bounds ------------------------------------------------------------------------------------------------


def test_deep_nesting_is_refused_without_recursion_into_it() -> None:
    decode = Lua().require("bartizan.json").decode
    assert decode("[" * 1_000_000) == (None, "nested too deep at byte 9")
    assert decode('{"a":' * 200_000) == (None, "nested too deep at byte 41")


def test_only_a_string_is_read() -> None:
    lua = Lua()
    with pytest.raises(Exception, match="expected a string, got table"):
        lua.require("bartizan.json").decode(lua.table({}))


def test_a_refusal_leaves_nothing_behind_for_the_next_text() -> None:
    decode = Lua().require("bartizan.json").decode
    assert decode('{"a":[1,2,') == (None, "the text ends too early")
    assert decode("7") == 7
    assert decode("x") == (None, "unexpected character at byte 1")


def test_a_policy_of_ten_thousand_routes_is_read_whole() -> None:
    lua = Lua()
    routes = [
        {
            "key": f"{i:08x}",
            "hosts": [],
            "match": "prefix",
            "path": f"/api/{i}",
            "methods": ["GET", "HEAD"],
            "plan": i,
        }
        for i in range(10_000)
    ]
    lua.execute("text = ...", json.dumps({"routes": routes}))
    count, last = lua.execute(
        """
        local json = require("bartizan.json")
        local routes = assert(json.decode(text, json.OWN_FILE)).routes
        return #routes, routes[#routes].path
        """
    )
    assert (count, last) == (10_000, "/api/9999")
