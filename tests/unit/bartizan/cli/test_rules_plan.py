"""`bartizan rules compile`, `list` and `show`, as a person types them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bartizan.cli.app import app
from bartizan.errors import BartizanError
from tests.support.rule_tree import write_tree

OWN = "SecRule ARGS \"@rx <script\" \"id:1,phase:2,deny,tag:'attack-xss',msg:'Script'\"\n"


def _run(folder: Path, *arguments: str) -> Result:
    tree, own = folder / "crs", folder / "own.conf"
    if not tree.exists():
        write_tree(tree)
        own.write_text(OWN, encoding="utf-8")
    command, *rest = arguments
    given = ["--source", str(tree), "--after", str(own), "--state", str(folder / "var")]
    result = CliRunner().invoke(app, ["rules", command, *rest, *given])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def _listed(folder: Path, *arguments: str) -> dict[int, dict[str, Any]]:
    rows = json.loads(_run(folder, "list", "--json", *arguments).output)
    return {row["id"]: row for row in rows}


def test_compile_prints_the_folder(tmp_path: Path) -> None:
    last = _run(tmp_path, "compile").output.splitlines()[-1]
    folder = Path(last.removeprefix("bartizan: the rules are ready at paranoia 1: "))
    assert folder.parent == tmp_path / "var/rules/compiled"
    assert (folder / "plan.json").is_file()
    assert _run(tmp_path, "compile").output.splitlines() == [last]


def test_a_mistake_is_told_and_leaves_what_was_compiled(tmp_path: Path) -> None:
    _run(tmp_path, "compile")
    before = sorted((tmp_path / "var/rules/compiled").iterdir())
    (tmp_path / "own.conf").write_text('SecRule ARGS "@rxx a" "id:1"\n', encoding="utf-8")
    with pytest.raises(BartizanError, match=r"own\.conf:1: unknown operator @rxx; did you mean @rx"):
        _run(tmp_path, "compile")
    assert sorted((tmp_path / "var/rules/compiled").iterdir()) == before


def test_every_rule_is_listed_with_what_became_of_it(tmp_path: Path) -> None:
    rows = _listed(tmp_path)
    assert {number: row["gate"] or row["dropped"] for number, row in rows.items()} == {
        1: "values", 900990: "settled", 901120: "never matches", 901320: "idle", 910000: "set aside",
        913100: "values", 942011: "never matches", 942100: "values", 9500001: "settled", 9500002: "settled",
        9500003: "settled",
    }  # fmt: skip
    assert all(row["reason"] for row in rows.values() if row["dropped"])
    assert rows[942100] | {"reason": ""} == {
        "id": 942100, "phase": 2, "paranoia": 1, "tags": ["attack-sqli", "paranoia-level/1"],
        "gate": "values", "how": "whole", "dropped": None, "reason": "", "message": "SQL",
        "place": "REQUEST-942-SQLI.conf:2",
    }  # fmt: skip


def test_the_table_has_what_runs_and_with_all_what_does_not(tmp_path: Path) -> None:
    some, everything = _run(tmp_path, "list").output, _run(tmp_path, "list", "--all").output
    assert "942100" in some
    assert "942011" not in some
    assert "942011" in everything
    assert "woken by values: 3" in some


def test_a_rule_is_shown(tmp_path: Path) -> None:
    shown = _run(tmp_path, "show", "942100").output
    assert "REQUEST-942-SQLI.conf:2: rule 942100, phase 2" in shown
    assert r"REQUEST_COOKIES|!REQUEST_COOKIES:/__utm/|ARGS @rx (?i)union\s+select t:urlDecodeUni" in shown
    assert "woken by: values, link 1" in shown
    assert "REQUEST_COOKIES ARGS (urlDecodeUni): whole in arguments.hs, arguments-plain.hs as " in shown


def test_a_rule_that_does_not_run_is_shown_with_the_reason(tmp_path: Path) -> None:
    assert "does not run (settled)" in _run(tmp_path, "show", "900990").output
    assert "does not run (set aside): " in _run(tmp_path, "show", "910000").output


def test_a_rule_that_there_is_not(tmp_path: Path) -> None:
    result = _run(tmp_path, "show", "12345")
    assert result.exit_code == 1
    assert "there is no rule 12345" in result.output


POLICY = """\
upstreams: {one: {servers: ["http://127.0.0.1:9"]}}
rules: {source: ./crs, after: [own.conf]}
defaults: {waf: {mode: enforce, paranoia: 3, exclusions: [{rule: 1}]}}
routes: [{prefix: /, methods: [GET], upstream: one, auth: none}]
"""


def _with_policy(folder: Path, *arguments: str) -> Result:
    _run(folder, "list")
    policy = folder / "gateway.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    command, *rest = arguments
    return CliRunner().invoke(
        app, ["rules", command, *rest, "--policy", str(policy), "--state", str(folder / "var")]
    )


def test_a_policy_says_which_rules_and_how_strict(tmp_path: Path) -> None:
    rows = {row["id"]: row for row in json.loads(_with_policy(tmp_path, "list", "--json").output)}
    assert (rows[1]["dropped"], rows[1]["reason"]) == ("excluded", "the policy excludes rule 1")
    assert "at paranoia 3: " in _with_policy(tmp_path, "compile").output
    assert "at paranoia 2: " in _with_policy(tmp_path, "compile", "--paranoia", "2").output


def test_a_policy_and_other_rules_exclude_each_other(tmp_path: Path) -> None:
    result = _with_policy(tmp_path, "list", "--source", "./crs")
    assert result.exit_code == 2
    assert "leave --source" in result.output
