"""Where a Core Rule Set lies, and in which order its files are read."""

import os
import re
from pathlib import Path

import pytest

from bartizan.errors import BartizanError
from bartizan.rules import tree as module
from bartizan.rules.read import read_rules
from bartizan.rules.tree import RuleTree, find_tree
from tests.support.rule_tree import VERSION, write_tree

ORDER = [
    "crs-setup.conf.example",
    "plugins/hello-config.conf",
    "plugins/hello-before.conf",
    "rules/REQUEST-901-INITIALIZATION.conf",
    "rules/REQUEST-910-IP-REPUTATION.conf",
    "rules/REQUEST-913-SCANNER-DETECTION.conf",
    "rules/REQUEST-942-SQLI.conf",
    "plugins/hello-after.conf",
]


def _order(tree: RuleTree, folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in tree.order()]


def test_the_order(tmp_path: Path) -> None:
    tree = find_tree(write_tree(tmp_path))
    assert _order(tree, tmp_path) == ORDER
    assert tree.version == VERSION


def test_ones_own_files_stand_before_and_after(tmp_path: Path) -> None:
    first, last = Path("first.conf"), Path("last.conf")
    order = find_tree(write_tree(tmp_path)).order([first], [last])
    assert [path.name for path in order[2:5]] == [
        "hello-before.conf",
        "first.conf",
        "REQUEST-901-INITIALIZATION.conf",
    ]
    assert order[-1] == last


def test_the_operators_setup_and_exclusions_are_read(tmp_path: Path) -> None:
    own = {
        "crs-setup.conf": "# mine\n",
        "rules/REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf": "# mine\n",
        "rules/RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf": "# mine\n",
    }
    tree = find_tree(write_tree(tmp_path, own))
    order = _order(tree, tmp_path)
    assert order[0] == "crs-setup.conf"
    assert order[3] == "rules/REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf"
    assert order[-2] == "rules/RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf"
    assert {str(path.relative_to(tmp_path)) for path in tree.core} == {
        "crs-setup.conf",
        *(name for name in ORDER if name.startswith("rules/")),
    }


def test_other_plugins_may_be_named(tmp_path: Path) -> None:
    write_tree(tmp_path / "crs")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/x-after.conf").write_text("# nothing\n", encoding="utf-8")
    order = find_tree(tmp_path / "crs").order(plugins=tmp_path / "mine")
    assert [
        path.name for path in order if path.name.endswith(("-config.conf", "-before.conf", "-after.conf"))
    ] == ["x-after.conf"]


def test_debians_files_lie_in_two_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path / "usr")
    monkeypatch.setattr(module, "DEBIAN_RULES", tmp_path / "usr/rules")
    monkeypatch.setattr(module, "DEBIAN_SETUP", tmp_path / "etc")
    (tmp_path / "etc").mkdir()
    for name in ("crs-setup.conf", *module.OPERATORS_OWN):
        (tmp_path / "etc" / name).write_text("# mine\n", encoding="utf-8")
    for folder in (None, tmp_path / "usr"):
        order = [str(path.relative_to(tmp_path)) for path in find_tree(folder).order()]
        assert order[:2] == ["etc/crs-setup.conf", "etc/REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf"]
        assert order[-1] == "etc/RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf"
        assert len(order) == 7


def test_a_folder_without_rules_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        BartizanError, match=r"there is no Core Rule Set: .*REQUEST-901.* is missing; name the folder"
    ):
        find_tree(tmp_path)


def test_debians_package_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEBIAN_RULES", tmp_path / "rules")
    with pytest.raises(BartizanError, match="install Debian's package modsecurity-crs"):
        find_tree()


def test_a_set_that_states_no_version(tmp_path: Path) -> None:
    tree = find_tree(write_tree(tmp_path, {"rules/REQUEST-901-INITIALIZATION.conf": "# nothing\n"}))
    assert tree.version is None


def test_debians_core_rule_set_is_read_whole() -> None:
    tree = find_tree()
    assert tree.version is not None
    read = read_rules(tree.order(), tree.core)
    assert read.signatures == (f"OWASP_CRS/{tree.version}",)
    assert len(read.rules) > 600
    # What is set aside needs what is not kept; nothing that looks at a request's content is among it.
    aside = {one.message.partition(":")[0] for one in read.set_aside if one.message.startswith("rule ")}
    assert all(text.startswith(("rule 910", "rule 912", "rule 949")) for text in aside)


@pytest.mark.corpora
@pytest.mark.skipif("CORPORA" not in os.environ, reason="needs the Core Rule Set 4 below $CORPORA")
def test_the_core_rule_set_4_is_read_whole() -> None:
    tree = find_tree(next(iter(sorted(Path(os.environ["CORPORA"]).glob("crs-4.*")))))
    read = read_rules(tree.order(), tree.core)
    assert len(read.rules) > 600
    assert all(one.message.startswith("an action of rule 901") for one in read.set_aside)


def _texts(tree: RuleTree) -> str:
    """Return the rules' text without comments, for counting by other means than the reader's."""
    lines = (line for path in tree.order() for line in path.read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def test_nothing_of_debians_rules_is_lost() -> None:
    tree = find_tree()
    read, text = read_rules(tree.order(), tree.core), _texts(tree)
    aside = {one.message.split()[1].rstrip(":") for one in read.set_aside if one.message.startswith("rule ")}
    written = re.findall(r"\bid:(\d+)", text)
    assert sorted(written) == sorted([*(str(rule.id) for rule in read.rules), *aside])
    assert len(re.findall(r"^SecMarker\b", text, re.MULTILINE)) == len(read.entries) - len(read.rules)
    links = [link for rule in read.rules for link in rule.links]
    # A rule that is set aside has up to three links, all told of one.
    statements = re.findall(r"^\s*Sec(?:Rule|Action)\b", text, re.MULTILINE)
    assert 0 <= len(statements) - len(links) <= 3 * len(aside)


@pytest.mark.corpora
@pytest.mark.skipif("CORPORA" not in os.environ, reason="needs the Core Rule Set 4 below $CORPORA")
def test_nothing_of_the_core_rule_set_4_is_lost() -> None:
    tree = find_tree(next(iter(sorted(Path(os.environ["CORPORA"]).glob("crs-4.*")))))
    read, text = read_rules(tree.order(), tree.core), _texts(tree)
    links = [link for rule in read.rules for link in rule.links]
    operators = [link.operator for link in links if link.operator is not None]
    counted = {
        r"^\s*Sec(?:Rule|Action)\b": len(links),
        r"\bid:\d+": len(read.rules),
        r"\bsetvar:": sum(len(link.setvars) for link in links),
        r"\bctl:": sum(len(link.ctls) for link in links),
        r"\btag:'": sum(len(rule.tags) for rule in read.rules),
        r"\bt:(?!none\b)\w+": sum(len(link.transformations) for link in links),
        r"\bcapture\b(?=,)": sum(link.capture for link in links),
        r"\bmultiMatch\b": sum(link.multi_match for link in links),
        r"\bskipAfter:": sum(rule.skip_after is not None for rule in read.rules),
        r"@rx ": sum(operator.name == "rx" for operator in operators),
        r"!@": sum(operator.negated for operator in operators),
    }
    assert {pattern: len(re.findall(pattern, text, re.MULTILINE)) for pattern in counted} == counted
