"""The plan as the edge reads it."""

import json
from pathlib import Path
from typing import Any

import pytest

from bartizan.rules.compile import plan_rules
from bartizan.rules.hyperscan import compile_database
from bartizan.rules.plan import Plan
from bartizan.rules.settings import RuleSettings, RuleSource
from tests.support.rule_plan import RuleEngine, get
from tests.support.rule_tree import write_tree

OWN = """\
SecRule ARGS|REQUEST_HEADERS:Referer|!ARGS:note "@rx (?i)<script" \\
    "id:1,phase:2,deny,status:418,t:urlDecodeUni,\\
    msg:'Script in %{MATCHED_VAR_NAME}',logdata:'%{MATCHED_VAR}',tag:'paranoia-level/2',severity:'CRITICAL'"
SecRule REQUEST_HEADERS|!REQUEST_HEADERS:Cookie|!REQUEST_HEADERS:Referer "@rx evil" "id:2,phase:1,deny"
SecRule ARGS "@rx ^b64" "id:3,phase:2,deny,t:base64Decode"
SecRule ARGS "@detectSQLi" "id:4,phase:2,deny,skipAfter:END"
SecRule &REQUEST_HEADERS:Range "@gt 0" "id:5,phase:2,deny"
SecMarker "END"
SecRule REQUEST_METHOD "@streq TRACE" "id:6,phase:2,redirect:https://example.com/no"
SecRule REQUEST_URI "@rx ;;" "id:7,phase:2,deny"
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    own = tmp_path / "own.conf"
    own.write_text(OWN, encoding="utf-8")
    tree = write_tree(tmp_path / "crs")
    return plan_rules(RuleSource(tree, after=(own,)), RuleSettings(paranoia=2)).plan


def _kind(plan: Plan, collection: str, selector: str | None = None) -> dict[str, Any]:
    (kind,) = [
        kind
        for kind in plan.document["gate"]["kinds"]
        if kind["collection"] == collection and kind["selector"] == selector
    ]
    return dict(kind)


def _ids(plan: Plan, kind: dict[str, Any]) -> set[int]:
    """Return the rules whose patterns count for a kind."""
    parts = [kind, *kind["parts"]]
    held = {
        number for part in parts if part["database"] is not None
        for number in plan.databases[part["database"]].numbers
    }  # fmt: skip
    numbers = held if kind["accepts"] is None else held & set(kind["accepts"])
    return {plan.rules[plan.patterns[number - 1][0]].id for number in numbers}


def test_its_head(plan: Plan) -> None:
    document = plan.document
    assert document["format"] == 1
    assert document["crs"] == "4.99.1"
    assert document["settings"] == {"paranoia": 2, "inbound": 5, "outbound": 4}
    assert document["tx"]["crs_setup_version"] == "4991"
    assert document["tx"]["detection_paranoia_level"] == "2"


def test_its_phases_name_every_rule_once_in_order(plan: Plan) -> None:
    phases = plan.document["phases"]
    assert [phase["phase"] for phase in phases] == [1, 2]
    assert [place for phase in phases for place in phase["rules"]] == list(range(len(plan.rules)))
    assert [plan.rules[place].phase for place in phases[0]["rules"]] == [1] * len(phases[0]["rules"])
    before = [plan.rules[place].id for place in phases[1]["rules"][: phases[1]["markers"]["END"]]]
    assert before == [942100, 1, 3, 4, 5]


def test_a_rule_says_what_was_written(plan: Plan) -> None:
    (rule,) = [rule for rule in plan.document["rules"] if rule["id"] == 1]
    link = rule["links"][0]
    assert (rule["phase"], rule["disruptive"], rule["status"], rule["severity"]) == (2, "deny", 418, 2)
    assert (rule["paranoia"], rule["file"], rule["line"]) == (2, "own.conf", 1)
    assert rule["msg"] == ["Script in ", {"name": "MATCHED_VAR_NAME", "key": None}]
    assert link["transformations"] == ["urlDecodeUni"]
    assert link["operator"] == {"name": "rx", "argument": ["(?i)<script"], "negated": False, "entries": []}
    assert [target["name"] for target in link["targets"]] == ["ARGS", "REQUEST_HEADERS", "ARGS"]
    assert link["targets"][2]["excluded"]
    assert rule["gate"] == {"kind": "values", "link": 0}


def test_a_redirect_says_where_to(plan: Plan) -> None:
    (rule,) = [rule for rule in plan.document["rules"] if rule["id"] == 6]
    assert (rule["disruptive"], rule["argument"]) == ("redirect", "https://example.com/no")


def test_what_is_asked_of_each_kind(plan: Plan) -> None:
    args = _kind(plan, "ARGS")
    assert _ids(plan, args) == {1, 3, 942100}
    assert [plan.rules[one["rule"]].id for one in args["direct"]] == [4]
    assert _ids(plan, _kind(plan, "REQUEST_HEADERS")) == {2}
    assert _ids(plan, _kind(plan, "REQUEST_HEADERS", "referer")) == {1}
    assert _ids(plan, _kind(plan, "REQUEST_HEADERS", "user-agent")) == {2, 913100}
    assert _kind(plan, "REQUEST_HEADERS", "cookie")["database"] is None
    assert [plan.rules[place].id for place in _kind(plan, "REQUEST_HEADERS", "range")["always"]] == [5]


def test_what_comes_of_decoding_has_a_database_of_its_own(plan: Plan) -> None:
    chains = plan.document["gate"]["chains"]
    (part,) = _kind(plan, "ARGS")["parts"]
    assert [chains[chain] for chain in part["chains"]] == [["base64Decode"]]
    assert plan.databases[part["database"]].name == "arguments-decoded"
    assert {plan.rules[plan.patterns[n - 1][0]].id for n in plan.databases[part["database"]].numbers} == {3}


def test_plain_values_have_a_database_of_what_can_match_there(plan: Plan) -> None:
    args = _kind(plan, "ARGS")
    small = plan.databases[args["plain"]]
    assert {plan.rules[plan.patterns[number - 1][0]].id for number in small.numbers} == {942100}
    assert _kind(plan, "REQUEST_URI")["plain"] is None
    assert _kind(plan, "REQUEST_URI")["database"] is not None
    assert ord("<") not in plan.document["gate"]["plain"]


def test_databases_are_named_with_their_number_of_expressions(plan: Plan) -> None:
    assert plan.document["gate"]["databases"] == [
        {"file": f"{database.name}.hs", "patterns": len(database.expressions)} for database in plan.databases
    ]


def test_the_engine_runs_it_with_the_gate_and_without(plan: Plan, tmp_path: Path) -> None:
    for database in plan.databases:
        (tmp_path / f"{database.name}.hs").write_bytes(compile_database(database.expressions))
    text = json.dumps(plan.document, ensure_ascii=False)
    gated, gateless = RuleEngine(text, tmp_path), RuleEngine(text, tmp_path, gateless=True)
    for target, matched in (
        ("/?a=1", []),
        ("/?a=%3Cscript%3E", [1]),
        ("/?note=%3Cscript%3E", []),
        ("/?a=union+select", [942100]),
        ("/?a=YjY1", []),
        ("/?a=YjY0", [3]),
        ("/?a=1'+or+1=1--", [4]),
        ("/?a;;=1", [7]),
    ):
        for engine in (gated, gateless):
            found = [match["rule"] for outcome in engine.run(get(target)) for match in outcome.matches]
            assert (target, found) == (target, matched)
