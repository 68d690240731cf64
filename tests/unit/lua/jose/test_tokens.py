"""lua/bartizan/jose: every token of the case file, good and bad, under both LuaJITs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.lua import Lua, luajit
from tests.support.tokens import ALGORITHMS, AUDIENCE, ISSUER, Issuer

CASES = Path(__file__).parents[3] / "cases"


def load_cases() -> dict[str, dict[str, Any]]:
    cases = json.loads((CASES / "tokens.json").read_text())["cases"]
    by_name = {case["name"]: case for case in cases}
    assert len(by_name) == len(cases) > 390
    return by_name


EXPECTED = load_cases()


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module", params=["lupa", "luajit"])
def outcomes(
    request: pytest.FixtureRequest, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    now = int(time.time())
    run = json.dumps(
        {
            "jwks": json.dumps(issuer.jwks()),
            "algorithms": ALGORITHMS,
            "types": ["at+jwt"],
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "scopes": ["users:read"],
            "skew": 5,
            "now": now,
            "tokens": [{"name": name, "token": issuer.forge(case, now)} for name, case in EXPECTED.items()],
        }
    )
    if request.param == "lupa":
        lines = Lua().require("cases.token_cases").run(run)
    else:
        path = tmp_path_factory.mktemp("tokens") / "run.json"
        path.write_text(run)
        lines = luajit(CASES / "token_cases.lua", str(path))
    pairs = [line.split("\t") for line in lines.splitlines()]
    assert len(pairs) == len(EXPECTED)
    return dict(pairs)


@pytest.mark.parametrize("name", EXPECTED)
def test_case(outcomes: dict[str, str], name: str) -> None:
    refused = EXPECTED[name].get("refused")
    if refused is None:
        assert outcomes[name] == "accepted"
    else:
        assert outcomes[name].startswith("refused: ")
        assert refused in outcomes[name]


def test_every_row_has_tokens_that_are_refused() -> None:
    rows = {case["row"] for case in EXPECTED.values()}
    refused = {case["row"] for case in EXPECTED.values() if "refused" in case}
    assert rows - refused == {"good tokens"}
    assert len(refused) >= 16
