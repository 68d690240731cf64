"""Every mistake in a rule file, and the message that a person gets for it."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bartizan.rules.names import ACTIONS, CTLS, DIRECTIVES, OPERATORS, TRANSFORMATIONS, VARIABLES
from bartizan.rules.problems import RulesError
from bartizan.rules.read import read_rules

CASES: Any = YAML(typ="safe", pure=True).load(Path(__file__).parents[3] / "cases" / "rule_mistakes.yaml")


def test_there_are_cases() -> None:
    assert len(CASES["cases"]) >= 80
    assert len({case["name"] for case in CASES["cases"]}) == len(CASES["cases"])


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_a_mistake_is_told(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "own.conf"
    path.write_text(case["text"], encoding="utf-8")
    (tmp_path / "empty.data").write_text("# nothing\n\n", encoding="utf-8")
    (tmp_path / "networks.data").write_text("10.0.0.0/8\nlocalhost\n", encoding="utf-8")
    with pytest.raises(RulesError) as error:
        read_rules([path])
    said = [
        str(problem).removeprefix(f"{path}:").replace(str(tmp_path), "{folder}")
        for problem in error.value.problems
    ]
    assert [line.replace("{folder}/own.conf:", "") for line in said] == case["says"]


TABLES = {
    "directive": (DIRECTIVES, "{name} x"),
    "variable": (VARIABLES, 'SecRule {name} "@rx a" "id:1"'),
    "operator": (OPERATORS, 'SecRule ARGS "@{name} a" "id:1"'),
    "transformation": (TRANSFORMATIONS, 'SecRule ARGS "@rx a" "id:1,t:{name}"'),
    "action": (ACTIONS, 'SecRule ARGS "@rx a" "id:1,{name}"'),
    "ctl": (CTLS, 'SecAction "id:1,ctl:{name}=On"'),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_name_that_nobody_knows_is_never_passed_over(kind: str, tmp_path: Path) -> None:
    table, text = TABLES[kind]
    path = tmp_path / "own.conf"
    for name in table.values():
        path.write_text(text.format(name=f"{name}q") + "\n", encoding="utf-8")
        with pytest.raises(RulesError, match=rf"own\.conf:1: unknown {kind}.*{name}q"):
            read_rules([path])
