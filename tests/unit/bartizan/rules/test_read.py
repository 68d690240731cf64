"""From files to a rule set."""

from pathlib import Path

import pytest

from bartizan.rules.model import Marker, Rule, RuleSet, Setvar, Variable
from bartizan.rules.problems import RulesError
from bartizan.rules.read import read_rules
from bartizan.rules.tree import find_tree
from tests.support.rule_tree import IDS, write_tree


def _read(folder: Path, text: str, *, core: bool = False) -> RuleSet:
    path = folder / "own.conf"
    path.write_text(text, encoding="utf-8")
    return read_rules([path], [path] if core else ())


def _rule(folder: Path, text: str) -> Rule:
    (rule,) = _read(folder, text).rules
    return rule


def test_a_rule_whole(tmp_path: Path) -> None:
    rule = _rule(
        tmp_path,
        'SecRule ARGS|!ARGS:x "!@rx a" \\\n "id:1,phase:1,deny,status:429,capture,multiMatch,t:lowercase,\\\n'
        "msg:'m',logdata:'l',tag:'a',tag:'b',severity:'ERROR',ver:'v',rev:'2',setvar:tx.a=+1,ctl:ruleEngine=Off,nolog\"\n",
    )
    assert (rule.id, rule.phase, rule.disruptive, rule.blocks, rule.status) == (1, 1, "deny", False, 429)
    assert (rule.tags, rule.severity, rule.ver, rule.rev) == (("a", "b"), 3, "v", "2")
    assert (rule.log, rule.audit_log, rule.skip_after) == (False, False, None)
    assert str(rule.place) == f"{tmp_path / 'own.conf'}:1"
    (link,) = rule.links
    assert link.variables == (Variable("ARGS"), Variable("ARGS", "x", excluded=True))
    assert link.operator is not None
    assert (link.operator.name, link.operator.argument, link.operator.negated) == ("rx", ("a",), True)
    assert link.transformations == ("lowercase",)
    assert (link.capture, link.multi_match, link.chained) == (True, True, False)
    assert (link.msg, link.logdata) == (("m",), ("l",))
    assert link.setvars == (Setvar(("a",), "+", ("1",)),)
    assert [ctl.name for ctl in link.ctls] == ["ruleEngine"]


def test_what_a_rule_does_not_say(tmp_path: Path) -> None:
    rule = _rule(tmp_path, 'SecRule ARGS "@rx a" "id:1"\n')
    assert (rule.phase, rule.disruptive, rule.status, rule.severity) == (2, "pass", None, None)
    assert (rule.log, rule.audit_log) == (True, True)
    assert rule.links[0].transformations == ()


def test_a_chain(tmp_path: Path) -> None:
    rule = _rule(
        tmp_path,
        'SecRule ARGS "@rx a" "id:1,phase:1,deny,chain,msg:\'1\'"\n'
        '  SecRule REQUEST_METHOD "@streq POST" "t:none,chain,capture"\n'
        "  SecAction \"setvar:tx.a=1,logdata:'3',nolog\"\n",
    )
    assert [link.place.line for link in rule.links] == [1, 2, 3]
    assert [link.chained for link in rule.links] == [True, True, False]
    assert [link.operator and link.operator.name for link in rule.links] == ["rx", "streq", None]
    assert [link.msg for link in rule.links] == [("1",), (), ()]
    assert rule.links[2].logdata == ("3",)
    assert rule.log


def test_defaults_fold_into_the_rules_that_follow(tmp_path: Path) -> None:
    rules = _read(
        tmp_path,
        'SecRule ARGS "@rx a" "id:1,block"\n'
        'SecDefaultAction "phase:2,nolog,deny,status:418,t:lowercase"\n'
        'SecRule ARGS "@rx a" "id:2,block,t:trim"\n'
        'SecRule ARGS "@rx a" "id:3,t:none,t:trim,log,status:403,chain"\n'
        '    SecRule ARGS "@rx b" "t:trim"\n'
        'SecRule ARGS "@rx a" "id:4,pass"\n'
        'SecRule ARGS "@rx a" "id:5,phase:1,block"\n'
        'SecDefaultAction "phase:2,log,pass"\n'
        'SecRule ARGS "@rx a" "id:6,block"\n',
    ).rules
    assert [(rule.id, rule.disruptive, rule.status, rule.blocks, rule.log) for rule in rules] == [
        (1, "pass", None, True, True),
        (2, "deny", 418, True, False),
        (3, "deny", 403, False, True),
        (4, "pass", None, False, False),
        (5, "pass", None, True, True),
        (6, "pass", None, True, True),
    ]
    assert [[link.transformations for link in rule.links] for rule in rules] == [
        [()],
        [("lowercase", "trim")],
        [("trim",), ("lowercase", "trim")],
        [("lowercase",)],
        [()],
        [()],
    ]


def test_a_default_redirects(tmp_path: Path) -> None:
    rule = _rule(tmp_path, 'SecDefaultAction "phase:2,log,redirect:/no"\nSecRule ARGS "@rx a" "id:1,block"\n')
    assert (rule.disruptive, rule.argument) == ("redirect", "/no")


def test_markers_and_signatures_keep_their_order(tmp_path: Path) -> None:
    read = _read(
        tmp_path,
        'SecComponentSignature "A/1"\nSecAction "id:1,skipAfter:END"\nSecAction "id:2"\nSecMarker "END"\n'
        'SecComponentSignature B\nSecAction "id:3"\n',
    )
    assert [entry.name if isinstance(entry, Marker) else entry.id for entry in read.entries] == [
        1,
        2,
        "END",
        3,
    ]
    assert read.signatures == ("A/1", "B")


def test_includes_are_read_in_their_place(tmp_path: Path) -> None:
    for name, number in (("sub/b.conf", 3), ("sub/a.conf", 2), ("last.conf", 5)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'SecAction "id:{number}"\n', encoding="utf-8")
    read = _read(
        tmp_path,
        'SecAction "id:1"\nInclude sub/*.conf\nIncludeOptional none/*.conf\nSecAction "id:4"\n'
        f'Include "{tmp_path}/last.conf"\n',
    )
    assert [rule.id for rule in read.rules] == [1, 2, 3, 4, 5]
    assert [path.name for path in read.files] == ["own.conf", "a.conf", "b.conf", "last.conf"]
    assert str(read.rules[2].place) == f"{tmp_path / 'sub/b.conf'}:1"


def test_a_relative_path_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "more.conf").write_text('SecAction "id:2"\n', encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/own.conf").write_text('SecAction "id:1"\nInclude ../more.conf\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert [rule.id for rule in read_rules([Path("sub/own.conf")]).rules] == [1, 2]


def test_files_that_include_each_other_are_told(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("Include own.conf\n", encoding="utf-8")
    with pytest.raises(
        RulesError, match=r"more\.conf:1: Include own\.conf includes a file that is being read"
    ):
        _read(tmp_path, "Include more.conf\n")


@pytest.mark.parametrize("named", ["a\0b", "a**b", "/", "a" * 300, "x" * 5000])
def test_a_name_that_no_file_can_have_is_told(named: str, tmp_path: Path) -> None:
    for text in (f"Include {named}\n", f'SecRule ARGS "@pmFromFile {named}" "id:1"\n'):
        with pytest.raises(
            RulesError, match=r":1: (Include finds no file|can't read|@pmFromFile can't read) "
        ):
            _read(tmp_path, text)


def test_data_files_count_among_the_files(tmp_path: Path) -> None:
    (tmp_path / "words.data").write_text("a\n", encoding="utf-8")
    read = _read(tmp_path, 'SecRule ARGS "@pmFromFile words.data" "id:1"\n')
    assert read.files == (tmp_path / "own.conf", tmp_path / "words.data")


REFUSED = [
    ('SecRule IP:x "@eq 1" "id:1,phase:2"\n', "rule 1: the variable IP is refused"),
    ('SecRule ARGS "@rx a" "id:1,chain"\nSecRule &IP:x "@eq 1"\n', "rule 1: the variable IP is refused"),
    ('SecRule REMOTE_ADDR "@rbl a.example" "id:1"\n', "rule 1: the operator @rbl is refused"),
    ('SecRule TX:a "@eq %{ip.x}" "id:1"\n', "rule 1: the variable ip is refused"),
]


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_is_refused_is_set_aside_in_the_core_alone(text: str, why: str, tmp_path: Path) -> None:
    read = _read(tmp_path, text + 'SecAction "id:2"\n', core=True)
    assert [rule.id for rule in read.rules] == [2]
    assert [str(one).partition(": ")[2].startswith(why) for one in read.set_aside] == [True]
    with pytest.raises(RulesError, match=why.removeprefix("rule 1: ")):
        _read(tmp_path, text)


_FOUR_BACKSLASHES = r"""SecRule ARGS "@rx ^\\\\[a-z]" "id:1,phase:2,chain"
  SecRule ARGS "@contains \\\\" "t:none"
"""


@pytest.mark.parametrize(
    ("signature", "core", "pattern"),
    [
        ("OWASP_CRS/3.3.4", True, r"^\\[a-z]"),
        ("OWASP_CRS/3.3.4", False, r"^\\\\[a-z]"),
        ("OWASP_CRS/4.28.0", True, r"^\\\\[a-z]"),
    ],
)
def test_crs_3_doubles_backslashes_for_apache(
    signature: str, core: bool, pattern: str, tmp_path: Path
) -> None:
    text = f'SecComponentSignature "{signature}"\n{_FOUR_BACKSLASHES}'
    (rule,) = _read(tmp_path, text, core=core).rules
    asked = [link.operator.argument for link in rule.links if link.operator]
    assert asked == [(pattern,), (r"\\\\",)]


def test_a_mistake_is_one_in_the_core_too(tmp_path: Path) -> None:
    with pytest.raises(RulesError) as error:
        _read(tmp_path, 'SecRule IP:x|ARG "@eqq 1" "id:1,foo"\n', core=True)
    assert [problem.message.split(";")[0] for problem in error.value.problems] == [
        "unknown action foo",
        "unknown operator @eqq",
    ]


def test_an_action_that_is_refused_is_set_aside_and_its_rule_stays(tmp_path: Path) -> None:
    read = _read(
        tmp_path,
        'SecRule ARGS "@rx a" "id:1,deny,setvar:tx.a=1,setvar:ip.b=1,setvar:ip.b=1,expirevar:\'ip.b=9\'"\n',
        core=True,
    )
    (rule,) = read.rules
    assert rule.links[0].setvars == (Setvar(("a",), "=", ("1",)),)
    assert [one.message.partition(" is refused")[0] for one in read.set_aside] == [
        "an action of rule 1: setvar:ip.b=1",
        "an action of rule 1: the action expirevar",
    ]


def test_a_rule_set_is_read_whole(tmp_path: Path) -> None:
    tree = find_tree(write_tree(tmp_path))
    read = read_rules(tree.order(), tree.core)
    assert tuple(rule.id for rule in read.rules) == IDS
    assert [str(one.place.path.relative_to(tmp_path)) for one in read.set_aside] == [
        "crs-setup.conf.example",
        "rules/REQUEST-901-INITIALIZATION.conf",
        "rules/REQUEST-910-IP-REPUTATION.conf",
        "rules/REQUEST-913-SCANNER-DETECTION.conf",
        "rules/REQUEST-913-SCANNER-DETECTION.conf",
    ]
    assert read.signatures == ("OWASP_CRS/4.99.1",)
    assert read.rules[5].links[0].operator is not None
    assert read.rules[5].links[0].operator.entries == ("nikto", "sql map")


def test_the_mistakes_of_several_files_are_told_at_once_and_in_order(tmp_path: Path) -> None:
    for name, text in (("a.conf", "Foo\nSecAction \\\n"), ("b.conf", 'SecAction "id:1,bar"\n')):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(RulesError) as error:
        read_rules([tmp_path / "a.conf", tmp_path / "none.conf", tmp_path / "b.conf"])
    assert [(problem.place.path.name, problem.place.line) for problem in error.value.problems] == [
        ("a.conf", 1),
        ("a.conf", 2),
        ("none.conf", 1),
        ("b.conf", 1),
    ]
    assert str(error.value).count("\n") == 3
