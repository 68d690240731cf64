"""What is changed of rules that are written elsewhere."""

from pathlib import Path

import pytest

from bartizan.rules.model import RuleSet, Variable
from bartizan.rules.problems import RulesError
from bartizan.rules.read import read_rules

RULES = """\
SecRule ARGS "@rx a" "id:1,tag:'attack-sqli',tag:'paranoia-level/1',msg:'SQL of %{MATCHED_VAR}'"
SecRule ARGS "@rx a" "id:2,tag:'attack-xss',chain,msg:'XSS'"
    SecRule TX:0 "@rx b" "msg:'more'"
SecAction "id:3,tag:'attack-sqli'"
SecRule ARGS "@rx a" "id:10,tag:'attack-sql'"
"""


def _read(folder: Path, change: str, *, before: bool = False) -> RuleSet:
    path = folder / "own.conf"
    path.write_text(change + "\n" + RULES if before else RULES + change + "\n", encoding="utf-8")
    return read_rules([path])


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("SecRuleRemoveById 1", [2, 3, 10]),
        ('SecRuleRemoveById 1 "3"', [2, 10]),
        ('SecRuleRemoveById "1 3"', [2, 10]),
        ("SecRuleRemoveById 1,3", [2, 10]),
        ("SecRuleRemoveById 2-9", [1, 10]),
        ("SecRuleRemoveById 1-3 10-20", []),
        ("SecRuleRemoveById 1\nSecRuleRemoveById 1", [2, 3, 10]),
        ("SecRuleRemoveByTag attack-xss", [1, 3, 10]),
        ("SecRuleRemoveByTag attack-sql", [2]),
        ('SecRuleRemoveByTag "^attack-sql$"', [1, 2, 3]),
        ('secruleremovebytag "paranoia-level/[12]"', [2, 3, 10]),
        ("SecRuleRemoveByMsg more", [1, 3, 10]),
        ('SecRuleRemoveByMsg "^SQL of %"', [2, 3, 10]),
    ],
)
def test_removals(change: str, left: list[int], before: bool, tmp_path: Path) -> None:
    assert [rule.id for rule in _read(tmp_path, change, before=before).rules] == left


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ('SecRuleUpdateTargetById 1 "!ARGS:x"', {1}),
        ('SecRuleUpdateTargetById 1-2 "!ARGS:x"', {1, 2}),
        ('SecRuleUpdateTargetById 1-3 "!ARGS:x"', {1, 2}),
        ('SecRuleUpdateTargetByTag attack-sql "!ARGS:x"', {1, 10}),
        ('SecRuleUpdateTargetByMsg XSS "!ARGS:x"', {2}),
    ],
)
def test_updates(change: str, changed: set[int], before: bool, tmp_path: Path) -> None:
    added = Variable("ARGS", "x", excluded=True)
    rules = {rule.id: rule for rule in _read(tmp_path, change, before=before).rules}
    assert set(rules) == {1, 2, 3, 10}
    assert {number for number, rule in rules.items() if added in rule.links[0].variables} == changed
    assert rules[2].links[1].variables == (Variable("TX", "0"),)
    assert rules[3].links[0].variables == ()


def test_updates_add_up(tmp_path: Path) -> None:
    change = 'SecRuleUpdateTargetById 1 "!ARGS:x|REQUEST_BODY"\nSecRuleUpdateTargetById 1 !ARGS:/^y/'
    assert _read(tmp_path, change).rules[0].links[0].variables == (
        Variable("ARGS"),
        Variable("ARGS", "x", excluded=True),
        Variable("REQUEST_BODY"),
        Variable("ARGS", "^y", regex=True, excluded=True),
    )


def test_a_rule_that_is_removed_stays_so_whatever_is_updated(tmp_path: Path) -> None:
    change = 'SecRuleRemoveById 1\nSecRuleUpdateTargetById 1 "!ARGS:x"'
    assert [rule.id for rule in _read(tmp_path, change).rules] == [2, 3, 10]


def test_a_rule_that_is_set_aside_may_be_meant(tmp_path: Path) -> None:
    core, own = tmp_path / "core.conf", tmp_path / "own.conf"
    core.write_text('SecRule IP:x "@eq 1" "id:1"\nSecAction "id:2"\n', encoding="utf-8")
    own.write_text("SecRuleRemoveById 1\n", encoding="utf-8")
    assert [rule.id for rule in read_rules([core, own], [core]).rules] == [2]
    own.write_text("SecRuleRemoveById 4\n", encoding="utf-8")
    with pytest.raises(RulesError, match="no rule is meant by 4"):
        read_rules([core, own], [core])


def test_a_skip_to_a_rule_that_was_removed_is_told(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="skipAfter:10 finds no such SecMarker"):
        _read(tmp_path, 'SecAction "id:4,skipAfter:10"\nSecRuleRemoveById 10', before=True)
