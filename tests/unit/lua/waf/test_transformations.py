"""lua/bartizan/waf/transformations.lua: the cases under both LuaJITs, chains, and what masks promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.lua import Lua, luajit
from tests.support.transformations import NAMES, TEXTS, lua

CASES: Final = Path(__file__).parents[3] / "cases" / "waf"
FILE: Final = CASES / "transformations.json"
SPEC: Final = json.loads(FILE.read_text())
EXPECTED: Final = {
    (name, before.encode("latin-1").hex()): after.encode("latin-1").hex()
    for name, pairs in SPEC["transformations"].items()
    for before, after in pairs
}


def outcomes(engine: str) -> list[list[str]]:
    if engine == "lupa":
        lines = str(Lua(encoding="latin-1").require("cases.waf.transformations_cases").run(str(FILE)))
    else:
        lines = luajit(CASES / "transformations_cases.lua", str(FILE))
    return [line.split("\t") for line in lines.splitlines()]


@pytest.fixture(scope="module", params=["lupa", "luajit"])
def observed(request: pytest.FixtureRequest) -> list[list[str]]:
    return outcomes(request.param)


def test_the_manual_and_the_cases_name_the_same() -> None:
    assert sorted(SPEC["transformations"]) == sorted(NAMES)
    module = lua().require("bartizan.waf.transformations")
    assert sorted(set(module.keys()) - {"chain", "run", "steps"}) == sorted(NAMES)


def test_each_case(observed: list[list[str]]) -> None:
    seen = {(line[0], line[1]): line[2] for line in observed if line[0] != "chain"}
    wrong = {key: (seen[key], value) for key, value in EXPECTED.items() if seen[key] != value}
    assert not wrong
    assert len(seen) == len(EXPECTED) > 400


def test_each_chain(observed: list[list[str]]) -> None:
    seen = [line[2:] for line in observed if line[0] == "chain"]
    assert len(seen) == len(SPEC["chains"]) > 5
    for case, outcome in zip(SPEC["chains"], seen, strict=True):
        texts = [bytes.fromhex(text).decode("latin-1") for text in outcome]
        assert texts == [case["out"], *case["steps"]]


def test_an_unknown_name_is_named() -> None:
    chain = lua().require("bartizan.waf.transformations").chain
    with pytest.raises(Exception, match=r'^there is no transformation "urlDecodeAll"(\n|$)'):
        chain(lua().table(["lowercase", "urlDecodeAll"]))


# How long a text may become: so many times as long, and so many bytes more. Others never grow.
GROWTH: Final = {
    "base64Encode": (4 / 3, 3),
    "hexEncode": (2, 0),
    "length": (0, 20),
    "md5": (0, 16),
    "sha1": (0, 20),
    "urlEncode": (3, 0),
    "utf8toUnicode": (3.5, 0),
}

IDENTITY: Final = """
local text = ...
local band = require("bit").band
local mask = require("bartizan.waf.classes").of(text)
local lengths = {}
for name, transformation in pairs(require("bartizan.waf.transformations")) do
    if type(transformation) == "table" then
        local outcome = transformation.apply(text)
        assert(type(outcome) == "string", name)
        assert(outcome == transformation.apply(text), name)
        if band(mask, transformation.changes) == 0 then
            assert(outcome == text, name .. " changes what its mask says it can't")
        end
        lengths[name] = #outcome
    end
end
return lengths
"""


@given(text=st.one_of(TEXTS, st.binary(max_size=60)))
@example(text=b"")
@example(text=b".")
@example(text=b"\xc0\x80" * 20)
def test_masks_hold_and_no_text_grows_beyond_its_bound(text: bytes) -> None:
    lengths = dict(lua().execute(IDENTITY, text.decode("latin-1")).items())
    assert len(lengths) == len(NAMES)
    for name, length in lengths.items():
        factor, more = GROWTH.get(name, (1, 0))
        assert length <= len(text) * factor + more, name


def test_masks_hold_for_each_case() -> None:
    """Every transformation on what is a bound of any of them."""
    for text in {before for pairs in SPEC["transformations"].values() for before, _ in pairs}:
        lua().execute(IDENTITY, text)


@pytest.mark.parametrize("byte", range(256))
def test_masks_hold_for_each_byte(byte: int) -> None:
    for text in (chr(byte), chr(byte) * 2, "a" + chr(byte) + "b"):
        lua().execute(IDENTITY, text)


# What text of these letters costs nothing: most names and values of real requests have no others.
PLAIN: Final = "john.doe@example.com:8_{7}[5](6)!?~|$="
NEVER_PLAIN: Final = {
    *("base64Decode", "base64DecodeExt", "base64Encode", "hexDecode", "hexEncode", "length", "md5", "sha1"),
    *("parityEven7bit", "parityOdd7bit", "sqlHexDecode", "uppercase", "urlEncode"),
}


def test_plain_text_is_left_alone_by_its_mask() -> None:
    chain = lua().require("bartizan.waf.transformations").chain
    mask = lua().require("bartizan.waf.classes").of(PLAIN)
    assert {name for name in NAMES if chain(lua().table([name])).changes & mask} == NEVER_PLAIN


CHAIN: Final = """
local text, names = ...
local mask = require("bartizan.waf.classes").of(text)
local transformations = require("bartizan.waf.transformations")
local chain = transformations.chain(names)
local expected, forms, seen = text, { text }, { [text] = true }
for _, name in ipairs(names) do
    expected = transformations[name].apply(expected)
    if not seen[expected] then
        seen[expected] = true
        forms[#forms + 1] = expected
    end
end
assert(transformations.run(chain, text, mask) == expected)
assert(table.concat(transformations.steps(chain, text, mask), "|") == table.concat(forms, "|"))
"""


@given(text=TEXTS, names=st.lists(st.sampled_from([name for name in NAMES if name != "none"]), max_size=7))
def test_a_chain_is_its_transformations_one_after_another(text: bytes, names: list[str]) -> None:
    lua().execute(CHAIN, text.decode("latin-1"), lua().table(names))
