"""lua/bartizan/waf/actions.lua and macros.lua: setvar, ctl and macros."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rule_plan import Outcome, Request, RuleEngine, form, get, link, make_plan, rule

Json = dict[str, Any]
JSON_TYPE = ("Content-Type", "application/json")


def run(request: Request, *rules: Json, enforcing: bool = False, **more: Any) -> Outcome:
    return RuleEngine(make_plan(rules, **more)).last(request, enforcing=enforcing)


def setvars(*texts: str, tx: dict[str, str] | None = None) -> dict[str, str]:
    return run(get("/?x=1&Y=2"), rule(7, link("", setvars=texts), severity=2, msg=["m"]), tx=tx or {}).tx


class TestSetvar:
    @pytest.mark.parametrize(
        ("texts", "value"),
        [
            (["tx.a=5"], "5"),
            (["tx.a"], "1"),
            (["tx.a=+3"], "3"),
            (["tx.a=-3"], "-3"),
            (["tx.a=5", "tx.a=+3", "tx.a=-10"], "-2"),
            # What is no number counts as 0, and what one begins with as that (libmodsecurity 3.0.9).
            (["tx.a=+x"], "0"),
            (["tx.a=3x", "tx.a=+2"], "5"),
            (["tx.a=07", "tx.a=+1"], "8"),
            (["tx.a=-%{tx.nope}"], "0"),
            (["tx.b=4", "tx.a=+%{TX.B}"], "4"),
            (["tx.a=one", "tx.A=two"], "two"),
            (["tx.b=a", "tx.%{tx.b}=x"], "x"),
            (["tx.a=1", "!tx.a"], None),
            (["tx.a=text with spaces"], "text with spaces"),
            (["tx.a="], ""),
        ],
    )
    def test_changes(self, texts: list[str], value: str | None) -> None:
        assert setvars(*texts).get("a") == value

    def test_it_changes_this_request_only(self) -> None:
        engine = RuleEngine(
            make_plan(
                [rule(1, link("ARGS:q", "@rx .", setvars=["tx.a=+1", "!tx.c"]))], tx={"a": "1", "c": "x"}
            )
        )
        assert engine.last(get("/?q=1")).tx == {"a": "2"}
        assert engine.last(get("/?q=1")).tx == {"a": "2"}
        assert engine.last(get("/")).tx == {"a": "1", "c": "x"}

    def test_constants_of_the_plan_are_there(self) -> None:
        assert setvars("tx.a=%{tx.limit}", tx={"limit": "12"})["a"] == "12"

    def test_the_first_to_spell_a_name_is_shown(self) -> None:
        outcome = run(
            get("/?Foo=1"),
            rule(1, link("ARGS_NAMES", "@rx .", setvars=["tx.count_%{MATCHED_VAR}=+1"])),
            rule(2, link("TX:/^count_/", "@eq 1")),
        )
        assert outcome.tx == {"count_foo": "1"}
        assert outcome.matches[1]["variable"] == "TX:count_Foo"

    def test_all_of_tx_in_the_order_of_names(self) -> None:
        outcome = run(
            get("/"),
            rule(1, link("", setvars=["tx.b=1", "tx.a=1", "tx.c=1"])),
            rule(2, link("TX", "@eq 1", setvars=["tx.trace=%{tx.trace} %{MATCHED_VAR_NAME}"])),
        )
        assert outcome.tx["trace"] == " TX:a TX:b TX:c"


@pytest.mark.parametrize(
    ("macro", "value"),
    [
        ("%{RULE.id}", "7"),
        ("%{rule.severity}", "2"),
        ("%{rule.msg}", "m"),
        ("%{ARGS.x}", "1"),
        ("%{args.y}", "2"),
        ("%{ARGS}", "1"),
        ("%{ARGS_NAMES}", "x"),
        ("%{REQUEST_HEADERS.HOST}", "localhost"),
        ("%{REQUEST_METHOD} %{REQUEST_FILENAME}", "GET /"),
        ("%{TX.nope}", ""),
        ("%{ARGS.nope}", ""),
        ("%{MATCHED_VAR}%{MATCHED_VAR_NAME}", ""),
        ("%{UNIQUE_ID}", "request-1"),
        ("a %{tx.nope} b", "a  b"),
    ],
)
def test_macros(macro: str, value: str) -> None:
    assert setvars(f"tx.a={macro}")["a"] == value


class TestCtl:
    """Rule 1 changes what rules 2 to 4 do."""

    RULES = (
        rule(
            2,
            link("ARGS|REQUEST_METHOD", "@rx ."),
            tags=["attack-sqli", "paranoia-level/1"],
            msg=["SQL Injection"],
        ),
        rule(3, link("ARGS:a", "@rx ."), tags=["attack-xss"], msg=["XSS"]),
        rule(4, link("ARGS:b", "@rx .")),
    )

    def outcome(self, *ctls: str, when: str = "@rx .") -> Outcome:
        rules = [dict(item, links=[dict(each) for each in item["links"]]) for item in self.RULES]
        rules[0]["links"][0]["setvars"] = link("", setvars=["tx.trace=%{tx.trace} %{MATCHED_VAR_NAME}"])[
            "setvars"
        ]
        return run(get("/?a=1&b=2"), rule(1, link("ARGS:a", when, ctls=ctls), log=False), *rules)

    @pytest.mark.parametrize(
        ("ctl", "expected"),
        [
            ("ruleRemoveById=2", [3, 4]),
            ("ruleRemoveById=2-3", [4]),
            ("ruleRemoveById=5", [2, 3, 4]),
            ("ruleRemoveByTag=attack-sqli", [3, 4]),
            ("ruleRemoveByTag=^attack-", [4]),
            ("ruleRemoveByTag=sqli$", [3, 4]),
            ("ruleRemoveByMsg=SQL Injection", [3, 4]),
            ("ruleRemoveTargetById=3;ARGS:a", [2, 4]),
            ("ruleRemoveTargetById=3;ARGS:A", [2, 4]),
            ("ruleRemoveTargetById=3;ARGS:b", [2, 3, 4]),
            ("ruleRemoveTargetById=3-4;ARGS", [2]),
            ("ruleRemoveTargetById=3-4;ARGS:/^[b]/", [2, 3]),
            ("ruleRemoveTargetByTag=attack-xss;ARGS:a", [2, 4]),
            ("ruleRemoveTargetByMsg=XSS;ARGS:a", [2, 4]),
            ("ruleRemoveTargetById=3;ARGS_GET:a", [2, 3, 4]),
            # What is a setting of the gateway is not a rule's to change.
            ("auditEngine=Off", [2, 3, 4]),
        ],
    )
    def test_rules_are_removed(self, ctl: str, expected: list[int]) -> None:
        assert self.outcome(ctl).ids == expected

    @pytest.mark.parametrize(
        ("ctls", "trace"),
        [
            ([], " ARGS:a ARGS:b REQUEST_METHOD"),
            (["ruleRemoveTargetById=2;ARGS:a"], " ARGS:b REQUEST_METHOD"),
            (["ruleRemoveTargetById=2;ARGS"], " REQUEST_METHOD"),
            (["ruleRemoveTargetByTag=attack-sqli;REQUEST_METHOD"], " ARGS:a ARGS:b"),
            (["ruleRemoveTargetById=2;ARGS:a", "ruleRemoveTargetById=2;ARGS:b"], " REQUEST_METHOD"),
        ],
    )
    def test_targets_are_left_out(self, ctls: list[str], trace: str) -> None:
        assert self.outcome(*ctls).tx["trace"] == trace

    def test_only_when_the_rule_matches(self) -> None:
        assert self.outcome("ruleRemoveById=2", when="@rx no").ids == [2, 3, 4]

    def test_only_when_the_whole_chain_matches(self) -> None:
        remover = rule(1, link("ARGS:a", "@rx .", ctls=["ruleRemoveById=3"]), link("ARGS:a", "@rx no"))
        assert run(get("/?a=1"), remover, self.RULES[1]).ids == [3]

    def test_of_this_request_only(self) -> None:
        engine = RuleEngine(
            make_plan(
                [
                    rule(1, link("ARGS:off", "@rx .", ctls=["ruleRemoveById=2"])),
                    rule(2, link("ARGS", "@rx .")),
                ]
            )
        )
        assert [engine.last(get(target)).ids for target in ("/?a=1", "/?off=1", "/?a=1")] == [[2], [1], [2]]

    def test_the_targets_of_all_links_are_meant(self) -> None:
        chain = [link("REQUEST_METHOD", "@streq GET"), link("ARGS", "@rx .")]
        remover = rule(1, link("", ctls=["ruleRemoveTargetById=2;ARGS:a"]), log=False)
        assert run(get("/?a=1"), remover, rule(2, *chain)).ids == []
        assert run(get("/?a=1&b=1"), remover, rule(2, *chain)).ids == [2]

    def test_rule_engine_off_ends_the_rules_of_both_phases(self) -> None:
        rules = [
            rule(1, link("ARGS:a", "@rx .", ctls=["ruleEngine=Off"]), phase=1),
            rule(2, link(""), phase=1), rule(3, link("")),
        ]  # fmt: skip
        outcomes = RuleEngine(make_plan(rules)).run(get("/?a=1"))
        assert [(outcome.ids, outcome.finished) for outcome in outcomes] == [([1], True)]
        assert RuleEngine(make_plan(rules)).last(get("/?b=1")).ids == [3]

    @pytest.mark.parametrize("enforcing", [True, False])
    def test_detection_only_makes_nothing_disruptive(self, enforcing: bool) -> None:
        rules = [
            rule(1, link("ARGS:a", "@rx .", ctls=["ruleEngine=DetectionOnly"])),
            rule(2, link("ARGS", "@rx ."), disruptive="deny"),
            rule(3, link("ARGS", "@rx .")),
        ]
        outcome = run(get("/?a=1"), *rules, enforcing=enforcing)
        assert (outcome.ids, outcome.disruptive, outcome.detection_only) == ([1, 2, 3], None, True)
        outcome = run(get("/?b=1"), *rules, enforcing=True)
        assert (outcome.ids, outcome.disruptive is not None, outcome.detection_only) == ([2], True, False)

    def test_rule_engine_on_takes_it_back(self) -> None:
        rules = [
            rule(1, link("", ctls=["ruleEngine=DetectionOnly", "ruleEngine=On"])),
            rule(2, link(""), disruptive="deny"),
        ]
        assert run(get("/"), *rules).disruptive is not None

    def test_request_body_processor_reads_the_body(self) -> None:
        rules = [
            rule(1, link("REQUEST_HEADERS:X-Json", "@rx .", ctls=["requestBodyProcessor=JSON"]), phase=1),
            rule(2, link("REQBODY_PROCESSOR", "@streq JSON"), phase=1),
            rule(3, link("ARGS:json.a", "@streq 1")),
        ]
        request = Request("/", "POST", [("Host", "localhost"), ("X-Json", "1")], '{"a": 1}')
        first, second = RuleEngine(make_plan(rules)).run(request)
        assert (first.ids, first.processor, second.ids) == ([1, 2], "JSON", [3])
        first, second = RuleEngine(make_plan(rules)).run(
            Request("/", "POST", request.headers[:1], request.body)
        )
        assert (first.ids, first.processor, second.ids) == ([], None, [])

    def test_force_request_body_variable(self) -> None:
        rules = [
            rule(1, link("", ctls=["forceRequestBodyVariable=On"]), phase=1),
            rule(2, link("REQUEST_BODY", "@rx attack")),
        ]
        request = Request("/", "POST", [("Host", "localhost"), ("Content-Type", "text/plain")], "an attack")
        first, second = RuleEngine(make_plan(rules)).run(request)
        assert (first.force_body, second.ids) == (True, [2])
        assert RuleEngine(make_plan(rules[1:])).last(request).ids == []

    def test_request_body_access(self) -> None:
        rules = [
            rule(1, link("", ctls=["requestBodyAccess=Off"]), phase=1), rule(2, link("ARGS", "@rx attack")),
        ]  # fmt: skip
        first, second = RuleEngine(make_plan(rules)).run(form("q=attack"))
        assert (first.body_access, second.ids) == (False, [])
        assert RuleEngine(make_plan(rules[1:])).last(form("q=attack")).ids == [2]


@pytest.mark.parametrize(
    ("ctl", "sentence"),
    [
        ("ruleRemoveById=abc", 'ctl: "abc" is neither a rule\'s id nor a range of ids'),
        ("ruleRemoveTargetById=1", "ctl:ruleRemoveTargetById names no target"),
        ("ruleEngine=Maybe", "ctl:ruleEngine is On, Off or DetectionOnly, not Maybe"),
        ("requestBodyProcessor=CSV", "ctl:requestBodyProcessor: there is no processor CSV"),
    ],
)
def test_what_is_wrong_is_said_at_load_with_its_place(ctl: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^test\.conf:9: rule 9: ") as caught:
        RuleEngine(make_plan([rule(9, link("", ctls=[ctl]))]))
    assert str(caught.value) == f"test.conf:9: rule 9: {sentence}"
