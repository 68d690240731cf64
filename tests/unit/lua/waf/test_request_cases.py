"""What a request carries, as data, in lupa's LuaJIT and in Debian's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.lua import Lua, luajit

CASES: Final = Path(__file__).parents[3] / "cases" / "waf"
FILE: Final = CASES / "requests.json"
CASE_COUNT: Final = 114


def hexadecimal(text: str) -> str:
    return text.encode("latin-1").hex()


def expected(value: Any) -> str:
    """Write what must be there in the notation of request_cases.lua."""
    if value is None:
        return "nil"
    if isinstance(value, str):
        return hexadecimal(value)
    return " ".join(f"{hexadecimal(name)}={hexadecimal(text)}" for name, text in value)


def readable(held: str) -> object:
    """Write a difference so that a person can read it."""
    if held == "nil":
        return None
    if "=" in held:
        return [tuple(bytes.fromhex(part) for part in member.split("=")) for member in held.split(" ")]
    return bytes.fromhex(held)


@pytest.mark.parametrize("where", ["lupa", "luajit"])
def test_each_request_is_seen_as_it_must_be(where: str) -> None:
    cases = json.loads(FILE.read_text(encoding="utf-8"))["cases"]
    assert len({case["name"] for case in cases}) == len(cases) == CASE_COUNT
    if where == "lupa":
        lines = Lua(encoding="latin-1").require("cases.waf.request_cases").run(str(FILE))
    else:
        lines = luajit(CASES / "request_cases.lua", str(FILE))
    got = {(case, name): held for case, name, held in (line.split("\t") for line in lines.splitlines())}
    wanted = {
        (case["name"], name): expected(value) for case in cases for name, value in case["expect"].items()
    }
    assert got.keys() == wanted.keys()
    wrong = [(*key, readable(want), readable(got[key])) for key, want in wanted.items() if want != got[key]]
    assert wrong == []
