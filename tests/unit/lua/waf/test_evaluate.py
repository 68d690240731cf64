"""lua/bartizan/waf/evaluate.lua and variables.lua: what links, chains and targets mean."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rule_plan import Outcome, Request, RuleEngine, form, get, link, make_plan, rule

Json = dict[str, Any]


def run(request: Request, *rules: Json, enforcing: bool = False, **more: Any) -> Outcome:
    return RuleEngine(make_plan(rules, **more)).last(request, enforcing=enforcing)


def trace(targets: str, asks: str = "@unconditionalMatch", **more: Any) -> Json:
    """Make a link that writes down each of its matches in TX."""
    return link(targets, asks, setvars=["tx.trace=%{tx.trace}<%{MATCHED_VAR_NAME}=%{MATCHED_VAR}>"], **more)


def traced(request: Request, targets: str, asks: str = "@unconditionalMatch", **more: Any) -> list[str]:
    found = run(request, rule(1, trace(targets, asks, **more))).tx.get("trace", "")
    return found[1:-1].split("><") if found else []


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("ARGS", ["ARGS:a=1", "ARGS:B=2", "ARGS:a=3"]),
        ("ARGS_GET", ["ARGS_GET:a=1", "ARGS_GET:B=2"]),
        ("ARGS_POST", ["ARGS_POST:a=3"]),
        ("ARGS_NAMES", ["ARGS_NAMES:a=a", "ARGS_NAMES:B=B", "ARGS_NAMES:a=a"]),
        ("ARGS_GET_NAMES", ["ARGS_GET_NAMES:a=a", "ARGS_GET_NAMES:B=B"]),
        ("ARGS:a", ["ARGS:a=1", "ARGS:a=3"]),
        ("ARGS:A", ["ARGS:a=1", "ARGS:a=3"]),
        ("ARGS:b", ["ARGS:B=2"]),
        ("ARGS:c", []),
        ("ARGS:/^[BC]$/", ["ARGS:B=2"]),
        ("ARGS:/^b/", ["ARGS:B=2"]),
        ("ARGS|!ARGS:a", ["ARGS:B=2"]),
        ("ARGS|!ARGS:/B/", ["ARGS:a=1", "ARGS:a=3"]),
        ("ARGS|!ARGS", []),
        ("ARGS|!ARGS_GET", ["ARGS:a=1", "ARGS:B=2", "ARGS:a=3"]),
        ("ARGS:a|REQUEST_METHOD", ["ARGS:a=1", "ARGS:a=3", "REQUEST_METHOD=POST"]),
        ("REQUEST_METHOD|!REQUEST_METHOD", []),
        ("&ARGS", ["ARGS=3"]),
        ("&ARGS:a", ["ARGS:a=2"]),
        ("&ARGS:c", ["ARGS:c=0"]),
        # Of all there are, as in libmodsecurity.
        ("&ARGS|!ARGS:a", ["ARGS=3"]),
        ("&ARGS|!ARGS", []),
        ("REQUEST_HEADERS:HOST", ["REQUEST_HEADERS:Host=localhost"]),
        ("REQUEST_HEADERS_NAMES:host", ["REQUEST_HEADERS_NAMES:Host=Host"]),
        ("&REQUEST_HEADERS:Accept", ["REQUEST_HEADERS:Accept=0"]),
        ("REQUEST_BODY", ["REQUEST_BODY=a=3"]),
        ("XML:/*", []),
        ("REMOTE_USER", []),
        ("RULE:id", ["RULE:id=1"]),
        ("HIGHEST_SEVERITY", ["HIGHEST_SEVERITY=255"]),
    ],
)
def test_targets(targets: str, expected: list[str]) -> None:
    assert traced(form("a=3", "/?a=1&B=2"), targets) == expected


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        ("@streq 1", ["ARGS:a=1"]),
        ("!@streq 1", ["ARGS:b=2"]),
        ("@noMatch", []),
        ("@gt %{ARGS.a}", ["ARGS:b=2"]),
        ("@within 0 %{ARGS.b} 9", ["ARGS:b=2"]),
    ],
)
def test_an_operator_is_asked_of_each_value(asks: str, expected: list[str]) -> None:
    assert traced(get("/?a=1&b=2"), "ARGS", asks) == expected


def test_a_negated_operator_asks_nothing_of_what_is_not_there() -> None:
    assert traced(get("/"), "ARGS:x", "!@streq 1") == []


def test_transformations_come_before_the_operator_and_are_what_matched_var_has() -> None:
    assert traced(get("/?q=A%20B"), "ARGS", "@rx ^ab$", t="lowercase removeWhitespace") == ["ARGS:q=ab"]


def test_multi_match_asks_before_between_and_after() -> None:
    found = traced(get("/?x=Aa%20%2541"), "ARGS", "@rx a", t="lowercase urlDecode removeWhitespace",
                   multi_match=True)  # fmt: skip
    # As libmodsecurity 3.0.9 does.
    assert found == ["ARGS:x=Aa %41", "ARGS:x=aa %41", "ARGS:x=aa A", "ARGS:x=aaA"]


class TestCaptures:
    def test_groups_are_tx_0_to_9(self) -> None:
        outcome = run(
            get("/?q=key:value"),
            rule(
                1, link("ARGS", "@rx (\\w+):(\\w+)", capture=True, setvars=["tx.k=%{TX.1}", "tx.v=%{tx.2}"])
            ),
        )
        assert (outcome.tx["k"], outcome.tx["v"]) == ("key", "value")

    def test_without_capture_there_are_none(self) -> None:
        outcome = run(get("/?q=ab"), rule(1, link("ARGS", "@rx (a)", setvars=["tx.k=[%{TX.1}]"])))
        assert outcome.tx["k"] == "[]"

    def test_a_later_link_reads_them(self) -> None:
        chain = [link("ARGS", "@rx ^(\\w+)=(\\w+)$", capture=True), link("TX:1", "@streq %{TX.2}")]
        assert run(get("/?q=a%3Da"), rule(1, *chain)).ids == [1]
        assert run(get("/?q=a%3Db"), rule(1, *chain)).ids == []

    def test_a_group_that_took_no_part_stays_as_it_was_within_the_rule(self) -> None:
        outcome = run(
            get("/?x=ab&y=a"),
            rule(1, link("ARGS", "@rx (a)(b)?", capture=True, setvars=["tx.all=%{tx.all}<%{TX.2}>"])),
        )
        assert outcome.tx["all"] == "<b><b>"

    def test_the_next_rule_sees_none_of_them(self) -> None:
        outcome = run(
            get("/?q=ab"), rule(1, link("ARGS", "@rx (a)", capture=True)), rule(2, link("TX:1", "@rx ."))
        )
        assert outcome.ids == [1]


class TestChains:
    def test_all_links_must_hold(self) -> None:
        chain = [link("ARGS:a", "@streq 1"), link("ARGS:b", "@streq 2"), link("ARGS:c", "@streq 3")]
        assert run(get("/?a=1&b=2&c=3"), rule(1, *chain)).ids == [1]
        for target in ("/?a=0&b=2&c=3", "/?a=1&b=0&c=3", "/?a=1&b=2&c=0", "/?a=1&b=2"):
            assert run(get(target), rule(1, *chain)).ids == []

    def test_setvar_of_a_link_is_executed_for_each_value_though_a_later_link_fails(self) -> None:
        outcome = run(
            get("/?a=1&b=1"),
            rule(
                1, link("ARGS", "@streq 1", setvars=["tx.n=+1"]), link("ARGS", "@noMatch", setvars=["tx.m=1"])
            ),
        )
        assert (outcome.ids, outcome.tx) == ([], {"n": "2"})

    def test_matched_vars_are_all_that_matched_in_the_links_before(self) -> None:
        outcome = run(
            get("/?x=ab&y=ac&z=b"),
            rule(1, link("ARGS", "@rx a"), trace("MATCHED_VARS", "@rx b"), trace("MATCHED_VARS", "@rx .")),
        )
        # As libmodsecurity 3.0.9 has it.
        assert outcome.tx["trace"] == (
            "<MATCHED_VARS:ARGS:x=ab><MATCHED_VARS:ARGS:x=ab><MATCHED_VARS:ARGS:y=ac>"
            "<MATCHED_VARS:MATCHED_VARS:ARGS:x=ab>"
        )

    def test_matched_vars_names(self) -> None:
        outcome = run(get("/?x=a&y=a"), rule(1, link("ARGS", "@rx a"), trace("MATCHED_VARS_NAMES")))
        assert outcome.tx["trace"] == "<MATCHED_VARS_NAMES:ARGS:x=ARGS:x><MATCHED_VARS_NAMES:ARGS:y=ARGS:y>"

    def test_matched_var_is_the_last_one(self) -> None:
        assert run(get("/?x=a1&y=a2"), rule(1, link("ARGS", "@rx a"), link("MATCHED_VAR", "@rx 2"))).ids == [
            1
        ]
        assert run(get("/?x=a2&y=a1"), rule(1, link("ARGS", "@rx a"), link("MATCHED_VAR", "@rx 2"))).ids == []
        chain = [link("ARGS", "@rx a"), link("MATCHED_VAR_NAME", "@streq ARGS:y")]
        assert run(get("/?x=a2&y=a1"), rule(1, *chain)).ids == [1]

    def test_matched_vars_of_one_rule_are_not_there_in_the_next(self) -> None:
        outcome = run(
            get("/?x=a"), rule(1, link("ARGS", "@rx a")), rule(2, link("MATCHED_VARS|MATCHED_VAR", "@rx ."))
        )
        assert outcome.ids == [1]

    def test_message_and_log_data_are_written_once_the_whole_chain_holds(self) -> None:
        outcome = run(
            get("/?x=ab&y=q"),
            rule(
                1,
                link(
                    "ARGS:x",
                    "@rx a",
                    msg="first %{MATCHED_VAR_NAME}",
                    capture=True,
                    logdata="%{TX.0} %{rule.id}",
                ),
                link("ARGS:y", "@rx q"),
            ),
        )
        (match,) = outcome.matches
        assert (match["msg"], match["data"]) == ("first ARGS:y", "a 1")


class TestMatches:
    def test_a_match_says_what_and_where(self) -> None:
        outcome = run(
            get("/?q=xyz%20attack"),
            rule(
                5, link("ARGS", "@rx att", msg="found", logdata="%{MATCHED_VAR}"),
                severity=2, tags=["a", "b"], paranoia=3,
            ),
        )  # fmt: skip
        assert outcome.matches == [{
            "rule": 5, "id": 5, "msg": "found", "data": "xyz attack", "severity": 2, "tags": ["a", "b"],
            "paranoia": 3, "variable": "ARGS:q", "value": "att", "whole": "xyz attack", "score": 0,
        }]  # fmt: skip

    def test_of_a_chain_what_was_sent_is_shown(self) -> None:
        chain = [
            link("ARGS", "@rx (a+)", capture=True, t="lowercase"),
            link("TX:1", "@rx a"),
            link("MATCHED_VAR", "@rx a"),
        ]
        (match,) = run(get("/?q=xAAx"), rule(1, *chain)).matches
        assert (match["variable"], match["value"], match["whole"]) == ("ARGS:q", "aa", "xaax")

    def test_what_an_operator_gives_and_is_no_part_of_the_value_is_not_shown(self) -> None:
        (match,) = run(get("/?q=1'%20or%201%3D1--%20-"), rule(1, link("ARGS", "@detectSQLi"))).matches
        assert match["value"] == match["whole"] == "1' or 1=1-- -"

    def test_a_rule_that_looks_at_nothing_shows_nothing_of_another_request(self) -> None:
        asks, acts = rule(1, link("ARGS:password", "@rx hunter")), rule(2, link(""))
        engine = RuleEngine(make_plan([asks, acts]))
        assert engine.last(get("/?password=hunter2")).ids == [1, 2]
        for request in (get("/?password=hunter2"), get("/")):
            match = engine.last(request).matches[-1]
            assert (match["rule"], match.get("variable"), match.get("value"), match.get("whole")) == (
                2, None, None, None,
            )  # fmt: skip

    def test_long_values_are_cut(self) -> None:
        (match,) = run(
            get("/?q=" + "a" * 5000), rule(1, link("ARGS", "@rx .*", logdata="%{MATCHED_VAR}"))
        ).matches
        assert len(match["value"]) == len(match["data"]) == 1024

    def test_nolog_is_not_listed(self) -> None:
        outcome = run(get("/"), rule(1, link("", setvars=["tx.a=1"]), log=False))
        assert (outcome.ids, outcome.tx) == ([], {"a": "1"})

    def test_what_anomaly_scores_grow_by_is_added_up(self) -> None:
        outcome = run(
            get("/?a=x&b=x"),
            rule(
                1,
                link(
                    "ARGS", "@rx x", setvars=["tx.inbound_anomaly_score_pl1=+5", "tx.sql_injection_score=+5"]
                ),
            ),
            rule(2, link("ARGS:a", "@rx x", setvars=["tx.anomaly_score_pl2=+3"])),
        )
        # As in libmodsecurity, setvar is executed for each value that matches.
        assert [match["score"] for match in outcome.matches] == [10, 3]
        assert outcome.score == 13

    def test_highest_severity(self) -> None:
        outcome = run(
            get("/"),
            rule(1, link(""), severity=4), rule(2, link(""), severity=2), rule(3, link(""), severity=5),
            rule(4, link("HIGHEST_SEVERITY", "@eq 2")),
        )  # fmt: skip
        assert 4 in outcome.ids


class TestNoAnswer:
    PATTERN = "@rx ^(a+)+$"
    VALUE = "a" * 40 + "!"

    def outcome(self, **more: Any) -> Outcome:
        rules = [rule(1, link("ARGS", self.PATTERN), severity=2, **more), rule(2, link("ARGS", "@rx ^a"))]
        return run(get("/?q=" + self.VALUE), *rules, limits={"match": 1000})

    @pytest.mark.parametrize("log", [True, False])
    def test_a_match_limit_is_a_finding_of_its_own_and_an_error(self, log: bool) -> None:
        outcome = self.outcome(log=log)
        assert outcome.error == "rule 1: match limit reached"
        first, second = outcome.matches
        assert (first["rule"], first["error"], first["variable"]) == (1, True, "ARGS:q")
        assert first["msg"] == "The rule could not be evaluated: match limit reached"
        # And the other rules are evaluated.
        assert (second["rule"], "error" in second) == (2, False)

    def test_below_the_limit_there_is_none(self) -> None:
        rules = [rule(1, link("ARGS", self.PATTERN))]
        outcome = run(get("/?q=aaaa"), *rules, limits={"match": 1000})
        assert (outcome.ids, outcome.error) == ([1], None)
