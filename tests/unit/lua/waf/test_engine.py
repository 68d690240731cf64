"""lua/bartizan/waf/engine.lua: the order of rules, what ends a phase, and what a request leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.rule_plan import Marker, Outcome, RuleEngine, form, get, link, make_plan, rule

Json = dict[str, Any]


def always(number: int, **more: Any) -> Json:
    return rule(number, link(""), **more)


def when(number: int, name: str, **more: Any) -> Json:
    return rule(number, link("ARGS:" + name, "@rx ."), **more)


def ids(entries: Sequence[Json | Marker], target: str = "/", *, enforcing: bool = False) -> list[int]:
    return RuleEngine(make_plan(entries)).last(get(target), enforcing=enforcing).ids


class TestSkipAfter:
    ENTRIES = (
        when(1, "skip", skip_after="END"), always(2), Marker("MIDDLE"), always(3), Marker("END"), always(4),
    )  # fmt: skip

    def test_rules_up_to_the_marker_are_passed_over(self) -> None:
        assert ids([*self.ENTRIES], "/?skip=1") == [1, 4]
        assert ids([*self.ENTRIES]) == [2, 3, 4]

    def test_without_such_a_marker_from_here_on_the_phase_ends(self) -> None:
        assert ids([always(1, skip_after="NOWHERE"), always(2)]) == [1]
        assert ids([Marker("BEFORE"), always(1, skip_after="BEFORE"), always(2)]) == [1]

    def test_a_marker_right_behind_the_rule(self) -> None:
        assert ids([always(1, skip_after="HERE"), Marker("HERE"), always(2)]) == [1, 2]

    def test_a_marker_at_the_end(self) -> None:
        assert ids([always(1, skip_after="LAST"), always(2), Marker("LAST")]) == [1]

    def test_a_rule_that_is_asked_of_the_whole_request_skips_too(self) -> None:
        entries: list[Json | Marker] = [
            when(1, "skip", gate="request", skip_after="END"), always(2, gate="request"),
            Marker("END"), always(3, gate="request"),
        ]  # fmt: skip
        assert ids(entries, "/?skip=1") == [1, 3]
        assert ids(entries) == [2, 3]

    def test_only_the_phase_of_the_rule(self) -> None:
        entries = [always(1, phase=1, skip_after="NOWHERE"), always(2, phase=1), always(3)]
        outcomes = RuleEngine(make_plan(entries)).run(get("/"))
        assert [outcome.ids for outcome in outcomes] == [[1], [3]]


class TestDisruptive:
    @pytest.mark.parametrize(
        ("action", "status", "expected"),
        [
            ("deny", None, 403), ("deny", 401, 401), ("drop", None, 403), ("redirect", None, 302),
            ("redirect", 307, 307), ("block", None, 403),
        ],
    )  # fmt: skip
    def test_it_is_said_which_rule_and_how(self, action: str, status: int | None, expected: int) -> None:
        entries = [always(1, disruptive=action, status=status, argument="https://a.example/")]
        outcome = RuleEngine(make_plan(entries)).last(get("/"), enforcing=True)
        assert outcome.disruptive == {
            "rule": 1, "action": action, "status": expected, "argument": "https://a.example/",
        }  # fmt: skip

    def test_enforcing_it_ends_the_phase(self) -> None:
        entries = [always(1), always(2, disruptive="deny"), always(3, disruptive="deny", status=400)]
        outcome = RuleEngine(make_plan(entries)).last(get("/"), enforcing=True)
        assert (outcome.ids, outcome.disruptive and outcome.disruptive["rule"]) == ([1, 2], 2)

    def test_otherwise_all_rules_are_evaluated_and_the_first_one_named(self) -> None:
        entries = [always(1), always(2, disruptive="deny"), always(3, disruptive="deny", status=400)]
        outcome = RuleEngine(make_plan(entries)).last(get("/"))
        assert (outcome.ids, outcome.disruptive and outcome.disruptive["rule"]) == ([1, 2, 3], 2)

    def test_a_rule_that_says_nolog_is_disruptive_too(self) -> None:
        outcome = RuleEngine(make_plan([always(1, disruptive="deny", log=False)])).last(
            get("/"), enforcing=True
        )
        assert (outcome.ids, outcome.disruptive and outcome.disruptive["rule"]) == ([], 1)


class TestAllow:
    def outcomes(self, action: str, *, enforcing: bool) -> list[Outcome]:
        entries = [
            when(1, "ok", phase=1, disruptive=action), always(2, phase=1, disruptive="deny"),
            always(3, disruptive="deny"),
        ]  # fmt: skip
        return RuleEngine(make_plan(entries)).run(get("/?ok=1"), enforcing=enforcing)

    @pytest.mark.parametrize("action", ["allow", "allow:request"])
    def test_no_more_rules_for_the_request(self, action: str) -> None:
        (outcome,) = self.outcomes(action, enforcing=True)
        assert (outcome.ids, outcome.finished, outcome.disruptive) == ([1], True, None)

    def test_no_more_rules_in_the_phase(self) -> None:
        first, second = self.outcomes("allow:phase", enforcing=True)
        assert (first.ids, first.finished, first.disruptive) == ([1], False, None)
        assert (second.ids, second.disruptive and second.disruptive["rule"]) == ([3], 3)

    @pytest.mark.parametrize("action", ["allow", "allow:request", "allow:phase"])
    def test_nothing_is_allowed_where_nothing_is_disruptive(self, action: str) -> None:
        first, second = self.outcomes(action, enforcing=False)
        assert (first.ids, first.finished, second.ids) == ([1, 2], False, [3])

    def test_phase_2_after_a_request_that_is_finished_has_no_rules(self) -> None:
        engine = RuleEngine(make_plan([always(1, phase=1, disruptive="allow"), always(2)]))
        transaction = engine.begin(get("/"))
        assert engine.phase(transaction, 1, enforcing=True).finished
        assert engine.phase(transaction, 2, enforcing=True).ids == []


class TestStateRules:
    """Rules that depend on what rules have made run once something has had an effect."""

    ENTRIES = (
        rule(1, link("TX:seen", "@eq 0"), gate="state"),
        rule(2, link("ARGS", "@streq x", setvars=["tx.seen=+1"]), gate="request"),
        rule(3, link("TX:seen", "@ge 1"), gate="state"),
        rule(4, link("TX:seen", "@ge 1"), gate="state", phase=2),
        rule(5, link("&ARGS", "@gt 5"), gate="request"),
    )

    def test_only_then(self) -> None:
        engine = RuleEngine(make_plan([*self.ENTRIES], tx={"seen": "0"}))
        assert engine.last(get("/")).ids == []
        assert engine.last(get("/?a=x")).ids == [2, 3, 4]
        assert engine.last(get("/?a=x&b=1&c=1&d=1&e=1&f=1")).ids == [2, 3, 4, 5]
        assert engine.last(get("/?a=1&b=1&c=1&d=1&e=1&f=1")).ids == [5]

    def test_an_effect_of_phase_1_counts_in_phase_2(self) -> None:
        entries = [
            rule(1, link("REQUEST_METHOD", "@streq POST", setvars=["tx.seen=1"]), gate="request", phase=1),
            rule(2, link("TX:seen", "@eq 1"), gate="state"),
        ]
        engine = RuleEngine(make_plan(entries))
        assert engine.last(form("a=1")).ids == [2]
        assert engine.last(get("/")).ids == []

    def test_setvar_of_a_chain_that_failed_is_an_effect(self) -> None:
        entries = [
            rule(1, link("ARGS", "@rx .", setvars=["tx.seen=1"]), link("ARGS", "@noMatch"), gate="request"),
            rule(2, link("TX:seen", "@eq 1"), gate="state"),
        ]
        assert ids(entries, "/?a=1") == [2]


class TestRequestsAreApart:
    def test_a_request_may_wait_between_its_phases(self) -> None:
        entries = [
            rule(1, link("ARGS:a", "@rx .", setvars=["tx.a=%{MATCHED_VAR}"]), phase=1, gate="request"),
            rule(2, link("TX:a", "@rx ."), gate="state"),
        ]
        engine = RuleEngine(make_plan(entries))
        first, other = engine.begin(get("/?a=first")), engine.begin(get("/"))
        assert engine.phase(first, 1).ids == [1]
        assert engine.phase(other, 1).ids == []
        assert engine.phase(other, 2).ids == []
        (match,) = engine.phase(first, 2).matches
        assert match["whole"] == "first"

    def test_clean_requests_share_an_outcome(self) -> None:
        engine = RuleEngine(make_plan([when(1, "x", gate="request")]))
        module = engine.lua.require("bartizan.waf.engine")
        same = engine.lua.execute(
            "return function(run, engine, a, b) return run(engine, a, 2) == run(engine, b, 2) end"
        )
        assert same(module.run, engine.engine, engine.begin(get("/")), engine.begin(get("/?y=1")))
        assert engine.last(get("/?x=1")).ids == [1]
        assert engine.last(get("/")) == Outcome(matches=[])

    def test_an_error_in_the_middle_of_a_request_leaves_nothing_to_the_next(self) -> None:
        entries = [
            rule(1, link("ARGS", "@streq x", setvars=["tx.a=1"]), gate="request"),
            when(2, "q", gate="request"),
        ]
        engine = RuleEngine(make_plan(entries))
        broken = engine.begin(get("/?a=x"))
        target = engine.engine.rules[2].links[1].targets[1]
        whole, target["from"] = target["from"], engine.lua.execute("return function() error('broken') end")
        with pytest.raises(Exception, match="broken"):
            engine.phase(broken, 2)
        target["from"] = whole
        assert engine.last(get("/")) == Outcome(matches=[])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 2}, "the plan's format is 2 and this engine reads 1: compile the rules anew"),
        (
            {"rules": [rule(1, link("ARGS", "@rx ("))]},
            "test.conf:1: rule 1: @rx: .*",
        ),
        (
            {"rules": [rule(1, link("ARGS", "@nothing x"))]},
            "test.conf:1: rule 1: there is no operator @nothing",
        ),
        (
            {"rules": [rule(1, link("ARGS", "@rx x", t="rot13"))]},
            'test.conf:1: rule 1: there is no transformation "rot13"',
        ),
        ({"rules": [rule(1, link("ARGS:/(/", "@rx x"))]}, "test.conf:1: rule 1: @rx: .*"),
        ({"rules": [always(1, gate="sometimes")]}, "test.conf:1: rule 1: there is no gate of kind sometimes"),
        (
            {"phases": [{"phase": 1, "rules": [3], "markers": {}}]},
            "phase 1 of the plan names rule 3, which there is not",
        ),
        (
            {"gate": {"databases": [{"file": "a.hs"}], "chains": [], "patterns": [], "kinds": []}},
            "could not read the pattern database a.hs: no reason given",
        ),
    ],
)
def test_what_is_wrong_with_a_plan_is_said_in_a_sentence(change: Json, sentence: str) -> None:
    plan = make_plan([always(1)])
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        RuleEngine({**plan, **change})
