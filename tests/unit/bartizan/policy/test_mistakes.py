"""Every mistake in a policy, and the message that a person gets for it."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bartizan.policy import PolicyError, load_policy

CASES: Any = YAML(typ="safe", pure=True).load(Path(__file__).parents[3] / "cases" / "policy_mistakes.yaml")


def _write(folder: Path, text: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_policy_that_the_cases_change_is_good(tmp_path: Path) -> None:
    assert len(load_policy(_write(tmp_path, CASES["policy"])).routes) == 2


def test_there_are_cases() -> None:
    assert len(CASES["cases"]) >= 20
    assert len({case["name"] for case in CASES["cases"]}) == len(CASES["cases"])


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_a_mistake_is_told(case: dict[str, Any], tmp_path: Path) -> None:
    old, new = case["replace"]
    assert CASES["policy"].count(old) == 1, "the case must change exactly one place"
    path = _write(tmp_path, CASES["policy"].replace(old, new))
    with pytest.raises(PolicyError) as error:
        load_policy(path)
    said = [line.removeprefix(f"{path}:") for line in error.value.lines()]
    assert said == [line.replace("{folder}", str(tmp_path)) for line in case["says"]]
