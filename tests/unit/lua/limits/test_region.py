"""lua/bartizan/limits/region.lua, between real processes of Debian's luajit, killed with SIGKILL."""

from pathlib import Path

import pytest

from tests.support.lua import luajit

CASES = Path(__file__).with_name("region_cases.lua")


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    return dict(line.split("\t") for line in luajit(CASES).splitlines())


NAMES = [
    line.split(".")[1].split("(")[0]
    for line in CASES.read_text().splitlines()
    if line.startswith("function cases.")
]


def test_every_case_ran(outcomes: dict[str, str]) -> None:
    assert sorted(outcomes) == sorted(NAMES)
    assert len(NAMES) == 11


@pytest.mark.parametrize("name", NAMES)
def test_case(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == "ok"
