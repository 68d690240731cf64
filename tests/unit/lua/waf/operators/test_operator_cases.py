"""The operators' cases as data, in lupa's LuaJIT and in Debian's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.lua import Lua, luajit

CASES: Final = Path(__file__).parents[4] / "cases" / "waf"
FILE: Final = CASES / "operators.json"
CASE_COUNT: Final = 560


def expected(case: dict[str, Any]) -> str:
    """Write what an operator must say of a case in the notation of operator_cases.lua."""
    if "text" not in case:
        return "false"
    captures = case.get("captures", {})
    if isinstance(captures, list):
        captures = dict(enumerate(captures))
    words = [f"{number}={text.encode('latin-1').hex()}" for number, text in captures.items()]
    return " ".join(["true", case["text"].encode("latin-1").hex(), *words])


@pytest.mark.parametrize("where", ["lupa", "luajit"])
def test_each_operator_says_what_the_manual_has(where: str) -> None:
    cases = json.loads(FILE.read_text(encoding="utf-8"))
    if where == "lupa":
        lines = Lua(encoding="latin-1").require("cases.waf.operator_cases").run(str(FILE))
    else:
        lines = luajit(CASES / "operator_cases.lua", str(FILE))
    wanted = []
    for operator in cases["operators"]:
        label = f"@{operator['name']} {operator.get('argument', operator.get('entries'))!r}"
        told = [(f"{label} of {case['value']!r}", expected(case)) for case in operator["cases"]]
        wanted += told * (2 if operator.get("macros") else 1)
    refused = [(f"the refused @{case['name']}", case["message"]) for case in cases["refused"]]
    got = lines.split("\n")[:-1]
    assert len(got) == len(wanted) + len(refused) == CASE_COUNT
    assert [(*want, line) for want, line in zip(wanted, got, strict=False) if want[1] != line] == []
    # Where in a pattern its mistake is depends on PCRE2's version, so a message may go on.
    reasons = zip(refused, got[len(wanted) :], strict=True)
    assert [(*want, line) for want, line in reasons if not line.startswith(want[1])] == []
