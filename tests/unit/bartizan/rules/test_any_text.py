"""Any text is a rule set or is told to be none, and what is written is what is read."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.rules.macros import shown
from bartizan.rules.model import Link, RuleSet, Variable
from bartizan.rules.names import CTLS, OPERATORS, TRANSFORMATIONS, VARIABLES
from bartizan.rules.problems import RulesError
from bartizan.rules.read import read_rules

PIECES = st.one_of(
    st.sampled_from(
        [
            *(
                "SecRule ",
                "SecAction ",
                "SecMarker ",
                "SecDefaultAction ",
                "SecRuleRemoveById ",
                "Include ",
                "# ",
            ),
            *(
                "SecRuleUpdateTargetById 1 ",
                "SecComponentSignature ",
                "<If>",
                "\\\n",
                "\n",
                "\r\n",
                "\\",
                '"',
                "'",
            ),
            *(
                "ARGS",
                "|",
                "!",
                "&",
                ":",
                "/",
                ",",
                ";",
                "=",
                " ",
                "@rx ",
                "!@",
                "@pm a b",
                "@eq 1",
                "id:1",
                "phase:2",
            ),
            *(
                "chain",
                "t:none",
                "setvar:tx.a=1",
                "setvar:'!tx.a'",
                "ctl:ruleRemoveById=1",
                "msg:'%{tx.a}'",
                "%{",
            ),
            *(
                "skipAfter:END",
                "END",
                "1",
                "1-2",
                "own.conf",
                "*",
                "**",
                "..",
                "\0",
                "é",
                "\t",
                "deny",
                "block",
            ),
        ]
    ),
    st.text(max_size=5),
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _read(folder: Path, text: str) -> RuleSet:
    path = folder / "own.conf"
    path.write_text(text, encoding="utf-8")
    return read_rules([path])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.lists(PIECES, max_size=30))
def test_any_text_is_rules_or_a_mistake_with_its_place(folder: Path, pieces: list[str]) -> None:
    try:
        read = _read(folder, "".join(pieces))
    except RulesError as error:
        found = [bool(problem.message) and problem.place.line >= 1 for problem in error.problems]
    except UnicodeEncodeError:  # a lone surrogate can't be written to a file at all
        return
    else:
        found = [True, *(bool(rule.links) for rule in read.rules)]
    assert found
    assert all(found)


# One rule as SecLang writes it, from values that are what must be read.
_NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=8)
_OPERAND = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters='"\\%'), min_size=1
)
_PLAIN = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\"\\%'"), min_size=1
)
_WITH_MEMBERS = st.builds(
    Variable,
    st.sampled_from(["ARGS", "REQUEST_COOKIES", "TX"]),
    _NAME,
    excluded=st.booleans(),
    count=st.just(False),
)
_COUNTED = st.builds(Variable, st.sampled_from(["ARGS", "REQUEST_HEADERS"]), count=st.just(True))
_SCALARS = st.builds(Variable, st.sampled_from(sorted(VARIABLES.values())))
_TARGETS = st.tuples(_SCALARS, st.lists(st.one_of(_WITH_MEMBERS, _COUNTED, _SCALARS), max_size=4))
_RULE = st.fixed_dictionaries(
    {
        "id": st.integers(1, 10**9),
        "phase": st.integers(1, 5),
        "targets": _TARGETS.map(lambda pair: (pair[0], *pair[1])),
        "negated": st.booleans(),
        "text": _OPERAND.filter(lambda text: text.strip() == text),
        "transformations": st.lists(
            st.sampled_from(sorted(set(TRANSFORMATIONS.values()) - {"none"})), max_size=4
        ),
        "msg": _PLAIN.filter(lambda text: text.strip() == text),
        "tags": st.lists(_NAME, max_size=3),
        "setvars": st.lists(
            st.tuples(_NAME, st.sampled_from(["=", "=+", "=-"]), _NAME.map("x".__add__)), max_size=3
        ),
    }
)


def _target(one: Variable) -> str:
    sign = "!" if one.excluded else "&" if one.count else ""
    return f"{sign}{one.name}" + (f":{one.selector}" if one.selector else "")


def _written(rule: dict[str, object], cut: str) -> str:
    targets, names = rule["targets"], rule["transformations"]
    assert isinstance(targets, tuple)
    assert isinstance(names, list)
    assert isinstance(rule["tags"], list)
    assert isinstance(rule["setvars"], list)
    actions = [
        f"id:{rule['id']}",
        f"phase:{rule['phase']}",
        *(f"t:{name}" for name in names),
        f"msg:'{rule['msg']}'",
        *(f"tag:'{tag}'" for tag in rule["tags"]),
        *(f"setvar:'tx.{key}{sign}{value}'" for key, sign, value in rule["setvars"]),
    ]
    operator = f"{'!' if rule['negated'] else ''}@streq {rule['text']}"
    return f'SecRule {"|".join(map(_target, targets))} "{operator}" {cut}"{("," + cut).join(actions)}"\n'


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_RULE, st.sampled_from(["", " ", "\\\n", "\\ \n    "]))
def test_what_is_written_is_what_is_read(folder: Path, rule: dict[str, object], cut: str) -> None:
    (read,) = _read(folder, _written(rule, cut)).rules
    (link,) = read.links
    assert (read.id, read.phase, list(read.tags)) == (rule["id"], rule["phase"], rule["tags"])
    assert link.variables == rule["targets"]
    assert link.operator is not None
    assert (link.operator.negated, shown(link.operator.argument)) == (rule["negated"], rule["text"])
    assert list(link.transformations) == rule["transformations"]
    assert shown(link.msg) == rule["msg"]
    assert _setvars(link) == rule["setvars"]


def _setvars(link: Link) -> list[tuple[str, str, str]]:
    signs = {"=": "=", "+": "=+", "-": "=-"}
    return [(shown(one.key), signs[one.change], shown(one.value)) for one in link.setvars]


def test_the_tables_name_each_thing_once() -> None:
    for table in (VARIABLES, OPERATORS, TRANSFORMATIONS, CTLS):
        assert all(key == key.lower() for key in table)
        assert {name.lower() for name in table.values()} <= set(table)
