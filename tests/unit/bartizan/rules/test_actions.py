"""What a rule does and says."""

from typing import Any

import pytest

from bartizan.rules.actions import Actions, read_actions
from bartizan.rules.model import Ctl, Macro, Setvar, Variable
from bartizan.rules.names import ACTIONS, CTLS
from bartizan.rules.problems import Mistake
from bartizan.rules.statements import parse


def _actions(text: str) -> Actions:
    actions, mistakes = read_actions(parse(f'SecAction "{text}"')["actions"])
    assert mistakes == []
    return actions


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("id:942100", {"id": 942100}),
        ("phase:1", {"phase": 1}),
        ("phase:request", {"phase": 2}),
        ("phase:Response", {"phase": 4}),
        ("phase:logging", {"phase": 5}),
        ("deny,status:429", {"disruptive": "deny", "status": 429}),
        ("block", {"disruptive": "block"}),
        ("drop", {"disruptive": "drop"}),
        ("allow", {"disruptive": "allow"}),
        ("allow:phase", {"disruptive": "allow:phase"}),
        ("allow:REQUEST", {"disruptive": "allow:request"}),
        ("redirect:'https://example.com/?a=b;c:d'", {"argument": "https://example.com/?a=b;c:d"}),
        ("redirect:https://example.com/?a=b;c:d", {"argument": "https://example.com/?a=b;c:d"}),
        ("t:urlDecodeUni,t:LOWERCASE", {"transformations": ["urlDecodeUni", "lowercase"], "cleared": False}),
        ("t:lowercase,t:none,t:trim", {"transformations": ["trim"], "cleared": True}),
        ("t:normalisePath", {"transformations": ["normalizePath"]}),
        ("capture,multiMatch,chain", {"capture": True, "multi_match": True, "chained": True}),
        ("msg:'It\\'s %{tx.A}, \\\"so\\\"'", {"msg": ("It's ", Macro("TX", "a"), ', "so"')}),
        ("logdata:'a,b: c'", {"logdata": ("a,b: c",)}),
        ("tag:'a/b',tag:c", {"tags": ["a/b", "c"]}),
        ("severity:2", {"severity": 2}),
        ("severity:'critical'", {"severity": 2}),
        ("severity:DEBUG", {"severity": 7}),
        ("ver:'OWASP_CRS/4.28.0',rev:'2'", {"ver": "OWASP_CRS/4.28.0", "rev": "2"}),
        ("maturity:9,accuracy:8", {"names": ["maturity", "accuracy"]}),
        ("log", {"log": True, "audit_log": True}),
        ("nolog", {"log": False, "audit_log": False}),
        ("nolog,auditlog", {"log": False, "audit_log": True}),
        ("log,noauditlog", {"log": True, "audit_log": False}),
        ("noauditlog", {"log": None, "audit_log": False}),
        ("skipAfter:END-X", {"skip_after": "END-X"}),
        ("skipAfter:'END X'", {"skip_after": "END X"}),
        ("ID:1 , Phase:2", {"id": 1, "phase": 2}),
    ],
)
def test_actions(text: str, values: dict[str, Any]) -> None:
    actions = _actions(text)
    assert {name: getattr(actions, name) for name in values} == values


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("setvar:tx.a=b", Setvar(("a",), "=", ("b",))),
        ("setvar:'TX.A=B c'", Setvar(("a",), "=", ("B c",))),
        ("setvar:tx.a=+1", Setvar(("a",), "+", ("1",))),
        ("setvar:'tx.a=-%{tx.b}'", Setvar(("a",), "-", (Macro("TX", "b"),))),
        ("setvar:!tx.a", Setvar(("a",), "!", ())),
        ("setvar:tx.a", Setvar(("a",), "=", ("1",))),
        ("setvar:'tx.a='", Setvar(("a",), "=", ())),
        ("setvar:'tx.a=b=c;d:e'", Setvar(("a",), "=", ("b=c;d:e",))),
        ("setvar:tx.a=b=c;d:e", Setvar(("a",), "=", ("b=c;d:e",))),
        ("setvar:tx:a.b=1", Setvar(("a.b",), "=", ("1",))),
        (
            "setvar:'TX.Counter_%{MATCHED_VAR_NAME}=+1'",
            Setvar(("counter_", Macro("MATCHED_VAR_NAME")), "+", ("1",)),
        ),
    ],
)
def test_setvar(text: str, read: Setvar) -> None:
    assert _actions(text).setvars == [read]


@pytest.mark.parametrize("text", ["setvar:tx", "setvar:tx.=1", "setvar:'!tx.a=1'", "setvar:a=1"])
def test_what_is_no_setvar(text: str) -> None:
    _, mistakes = read_actions(parse(f'SecAction "{text}"')["actions"])
    assert [str(one).partition(" must be ")[2] for one in mistakes] == [
        "tx.name=value, tx.name=+1, tx.name=-1 or !tx.name"
    ]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ruleRemoveById=942100", Ctl("ruleRemoveById", "942100")),
        ("ruleRemoveById=942100-942199", Ctl("ruleRemoveById", "942100-942199")),
        ("RULEREMOVEBYTAG=attack-sqli", Ctl("ruleRemoveByTag", "attack-sqli")),
        ("ruleRemoveTargetById=1;ARGS", Ctl("ruleRemoveTargetById", "1", Variable("ARGS"))),
        ("ruleRemoveTargetById=1;ARGS:a", Ctl("ruleRemoveTargetById", "1", Variable("ARGS", "a"))),
        (
            "ruleRemoveTargetByTag=a;TX:/^B/",
            Ctl("ruleRemoveTargetByTag", "a", Variable("TX", "^B", regex=True)),
        ),
        ("ruleRemoveTargetByMsg=a b;ARGS:a", Ctl("ruleRemoveTargetByMsg", "a b", Variable("ARGS", "a"))),
        ("ruleEngine=off", Ctl("ruleEngine", "Off")),
        ("ruleEngine=detectiononly", Ctl("ruleEngine", "DetectionOnly")),
        ("requestBodyProcessor=json", Ctl("requestBodyProcessor", "JSON")),
        ("forceRequestBodyVariable=On", Ctl("forceRequestBodyVariable", "On")),
        ("auditLogParts=+E", Ctl("auditLogParts", "+E")),
        ("auditEngine=Off", Ctl("auditEngine", "Off")),
        ("requestBodyAccess=Off", Ctl("requestBodyAccess", "Off")),
        ("responseBodyAccess=Off", Ctl("responseBodyAccess", "Off")),
        ("requestBodyLimit=131072", Ctl("requestBodyLimit", "131072")),
        ("parseXmlIntoArgs=OnlyArgs", Ctl("parseXmlIntoArgs", "OnlyArgs")),
    ],
)
def test_ctl(text: str, read: Ctl) -> None:
    for quoted in (text, f"'{text}'"):
        assert _actions(f"ctl:{quoted}").ctls == [read]


def _needs(name: str, kind: str) -> Mistake:
    _, mistakes = read_actions(parse(f'SecAction "{name}"')["actions"])
    assert [str(one).startswith(kind) for one in mistakes] == [True], mistakes
    return mistakes[0]


@pytest.mark.parametrize("name", sorted(CTLS.values()))
def test_every_ctl_shows_an_example_that_it_takes(name: str) -> None:
    example = str(_needs(f"ctl:{name}", f"ctl:{name} needs a value: ")).partition(" value: ")[2]
    assert [one.name for one in _actions(f"'{example}'" if " " in example else example).ctls] == [name]


@pytest.mark.parametrize("name", sorted(set(ACTIONS.values())))
def test_every_action_takes_an_argument_or_says_that_it_takes_none(name: str) -> None:
    alone, mistakes = read_actions(parse(f'SecAction "{name}"')["actions"])
    if mistakes:
        assert [str(one) for one in mistakes] == [f"the action {name} needs an argument"]
        assert alone.names == []
    else:
        assert alone.names == [name]
        _, mistakes = read_actions(parse(f'SecAction "{name}:?"')["actions"])
        assert len(mistakes) == 1


def test_all_mistakes_of_a_list_are_told_and_the_rest_is_read() -> None:
    actions, mistakes = read_actions(parse('SecAction "id:1,t:low,foo,phase:9,deny"')["actions"])
    assert len(mistakes) == 3
    assert (actions.id, actions.disruptive) == (1, "deny")
