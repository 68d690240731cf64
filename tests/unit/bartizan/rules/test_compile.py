"""Compiled rules on disk: found again while nothing changed, whole or not there, left alone by bad ones."""

import os
from pathlib import Path

import pytest

from bartizan.errors import BartizanError
from bartizan.rules import cache as caching
from bartizan.rules import compile as compiling
from bartizan.rules import compile_rules, hyperscan
from bartizan.rules.problems import RulesError
from bartizan.rules.settings import Exclusion, RuleSettings, RuleSource
from tests.support.rule_tree import write_tree

OWN = """SecRule ARGS "@rx <script" "id:1,phase:2,deny,tag:'attack-xss'"\n"""


class Rules:
    """A rule tree and own rules, which are compiled, and how often they were read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tree = write_tree(folder / "crs")
        self.own = folder / "own.conf"
        self.own.write_text(OWN, encoding="utf-8")
        self.cache = folder / "var" / "compiled"
        self.told: list[tuple[int, int, str]] = []
        self.read = 0
        plan = compiling.plan_rules

        def counted(source: RuleSource, settings: RuleSettings) -> compiling.Compiled:
            self.read += 1
            return plan(source, settings)

        monkeypatch.setattr(compiling, "plan_rules", counted)

    def compile(self, settings: RuleSettings | None = None) -> Path:
        source = RuleSource(self.tree, after=(self.own,))
        return compile_rules(
            source, settings or RuleSettings(), self.cache, lambda *what: self.told.append(what)
        )

    def entries(self) -> set[Path]:
        return {path for path in self.cache.iterdir() if path.is_dir()}


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rules:
    return Rules(tmp_path, monkeypatch)


def test_a_folder_holds_the_plan_and_its_databases(rules: Rules) -> None:
    folder = rules.compile()
    names = {path.name for path in folder.iterdir()}
    assert {"plan.json", "manifest.json", "arguments.hs", "headers.hs"} <= names
    assert folder.stat().st_mode & 0o777 == 0o755
    assert rules.entries() == {folder}


def test_it_tells_how_far_it_is(rules: Rules) -> None:
    rules.compile()
    assert rules.told[0] == (0, 1, "reading the rules")
    done, total, _ = rules.told[-1]
    assert done == total > 0
    assert [each[0] for each in rules.told] == sorted(each[0] for each in rules.told)


def test_nothing_is_read_again_while_nothing_changed(rules: Rules) -> None:
    assert rules.compile() == rules.compile()
    assert rules.read == 1


@pytest.mark.parametrize(
    "changed",
    ["own.conf", "crs/rules/scanners.data", "crs/rules/REQUEST-942-SQLI.conf"],
)
def test_a_file_that_changed_is_read_again(rules: Rules, changed: str, tmp_path: Path) -> None:
    before = rules.compile()
    path = tmp_path / changed
    path.write_text(path.read_text(encoding="utf-8") + "\n# more\n", encoding="utf-8")
    after = rules.compile()
    assert after != before
    assert rules.read == 2
    assert before.is_dir()


def test_a_new_file_is_read(rules: Rules) -> None:
    before = rules.compile()
    (rules.tree / "rules" / "REQUEST-950-NEW.conf").write_text(OWN.replace("id:1", "id:9"), encoding="utf-8")
    assert rules.compile() != before


def test_a_new_file_that_is_included_by_a_pattern_is_read(rules: Rules, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    rules.own.write_text(OWN + "IncludeOptional more/*.conf\n", encoding="utf-8")
    before = rules.compile()
    assert rules.compile() == before
    (tmp_path / "beside.conf").write_text("# not included", encoding="utf-8")
    assert rules.compile() == before
    (tmp_path / "more" / "a.conf").write_text(OWN.replace("id:1", "id:9"), encoding="utf-8")
    assert rules.compile() != before


def test_other_settings_have_a_folder_of_their_own(rules: Rules) -> None:
    one, two = rules.compile(), rules.compile(RuleSettings(paranoia=2))
    assert one != two
    assert rules.compile() == one
    assert rules.read == 2


def test_another_hyperscan_or_compiler_compiles_again(rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rules.compile()
    monkeypatch.setattr(hyperscan, "identity", lambda: "6.0; another processor")
    assert rules.compile() != before
    monkeypatch.undo()


@pytest.mark.parametrize("name", ["plan.json", "arguments.hs", "manifest.json"])
@pytest.mark.parametrize("how", ["cut", "changed", "gone"])
def test_what_is_broken_is_made_anew(rules: Rules, name: str, how: str) -> None:
    folder = rules.compile()
    path, content = folder / name, (folder / name).read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if how == "cut" else b"x" + content[1:])
    assert rules.compile() == folder
    assert rules.read == 2
    assert path.read_bytes() == content


def test_a_mistake_leaves_what_was_there(rules: Rules) -> None:
    before = rules.compile()
    rules.own.write_text(OWN + 'SecRule ARGS "@rx (" "id:2,phase:2,deny"\n', encoding="utf-8")
    with pytest.raises(RulesError, match=r"own\.conf:2"):
        rules.compile()
    assert rules.entries() == {before}
    rules.own.write_text(OWN, encoding="utf-8")
    assert rules.compile() == before


def test_a_compilation_that_fails_half_way_leaves_nothing(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_expressions: object) -> bytes:
        raise hyperscan.HyperscanError("out of memory")

    monkeypatch.setattr(compiling, "compile_database", fail)
    with pytest.raises(BartizanError, match="out of memory"):
        rules.compile()
    assert rules.entries() == set()


def test_a_pattern_that_hyperscan_refuses_at_last_becomes_a_prefilter(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = hyperscan.compile_database, []

    def picky(expressions: list[hyperscan.Expression]) -> bytes:
        for index, each in enumerate(expressions):
            if each.pattern == b"<script" and not each.flags & hyperscan.PREFILTER:
                asked.append(each)
                raise hyperscan.HyperscanError("Pattern is too large", index)
        return real(expressions)

    monkeypatch.setattr(compiling, "compile_database", picky)
    assert rules.compile().is_dir()
    assert asked


def test_a_pattern_that_is_never_taken_is_named(rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(expressions: list[hyperscan.Expression]) -> bytes:
        place = [each.pattern for each in expressions].index(b"<script")
        raise hyperscan.HyperscanError("Pattern is too large", place)

    monkeypatch.setattr(compiling, "compile_database", refuse)
    with pytest.raises(RulesError, match=r"own\.conf:1: rule 1 has a pattern .* too large"):
        rules.compile()


def test_what_was_not_used_for_long_goes(rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "KEEP", 1)
    old, kept = rules.compile(RuleSettings(paranoia=2)), rules.compile(RuleSettings(paranoia=3))
    (rules.cache / ".unfinished-x").mkdir()
    os.utime(old, (0, 0))
    new = rules.compile()
    assert rules.entries() == {kept, new}


@pytest.mark.parametrize(
    ("exclusion", "sentence"),
    [
        (Exclusion(rule=77), "the exclusion of rule 77 means no rule"),
        (
            Exclusion(tag="attack-none", parameter="args:x"),
            "the exclusion of tag attack-none for args:x means no rule",
        ),
        (Exclusion(rule=1, parameter="x"), "args:NAME, cookie:NAME or header:NAME, not 'x'"),
    ],
)
def test_an_exclusion_that_excludes_nothing_is_a_mistake(
    rules: Rules, exclusion: Exclusion, sentence: str
) -> None:
    with pytest.raises(BartizanError, match=sentence):
        rules.compile(RuleSettings(exclusions=(exclusion,)))


@pytest.mark.parametrize(
    "exclusion", [Exclusion(rule=1), Exclusion(tag="attack-xss"), Exclusion(rule=910000)]
)
def test_exclusions_name_rules(rules: Rules, exclusion: Exclusion) -> None:
    # 910000 is set aside: to exclude it changes nothing, and is no mistake.
    assert rules.compile(RuleSettings(exclusions=(exclusion,))) != rules.compile()
