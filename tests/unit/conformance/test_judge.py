"""The judge: each expectation, met and not met."""

from typing import Any

import pytest

from tests.conformance.judge import Match, Observation, judge
from tests.conformance.schema import Output

SEEN = Observation(
    answer=b"HTTP/1.1 200 OK\r\n\r\nhello",
    status=200,
    matches=(
        Match(942100, "SQL Injection", "Matched Data: s&1c found within ARGS:id: 1'"),
        Match(949110, "Exceeded"),
    ),
)
SILENT = Observation(answer=b"", status=None)


@pytest.mark.parametrize(
    "output",
    [
        {"status": 200},
        {"status": [403, 200]},
        {"log": {"expect_ids": [942100]}},
        {"log": {"expect_ids": [949110, 942100]}},
        {"log": {"no_expect_ids": [942101]}},
        {"log": {"match_regex": r"found within ARGS:id"}},
        {"log": {"no_match_regex": r"found within ARGS:other"}},
        {"log_contains": 'id "942100"'},
        {"no_log_contains": 'id "942101"'},
        {"response_contains": "hel+o"},
        {"log": {"expect_ids": [942100, 949110]}, "isolated": True},
    ],
)
def test_what_is_as_expected(output: dict[str, Any]) -> None:
    assert judge(Output.model_validate(output), SEEN) == []


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({"status": 403}, "status 200 instead of 403"),
        ({"status": [403, 400]}, "status 200 instead of 403 or 400"),
        ({"log": {"expect_ids": [942101]}}, "942101 did not match; matched: 942100, 949110"),
        ({"log": {"expect_ids": [942100, 942101]}}, "942101 did not match"),
        ({"log": {"no_expect_ids": [942101, 942100]}}, "942100 matched: Matched Data"),
        ({"log": {"match_regex": "found within ARGS:other"}}, "no line of the log has"),
        ({"log": {"no_match_regex": r'\[id "\d+"\]'}}, "a line of the log has"),
        ({"log_contains": 'id "942101"'}, "no line of the log has"),
        ({"no_log_contains": 'id "942100"'}, "a line of the log has"),
        ({"response_contains": "bye"}, "the answer does not hold 'bye'"),
        ({"expect_error": True}, "an answer with status 200 instead of none"),
        ({"log": {"expect_ids": [942100]}, "isolated": True}, "other rules matched, too"),
    ],
)
def test_what_is_not(output: dict[str, Any], says: str) -> None:
    (fault,) = judge(Output.model_validate(output), SEEN)
    assert says in fault


def test_no_answer() -> None:
    assert judge(Output(expect_error=True), SILENT) == []
    assert judge(Output(status=(400,)), SILENT) == ["there is no answer that can be read"]
    assert judge(Output.model_validate({"log": {"no_expect_ids": [1]}}), SILENT)


def test_the_older_schema_admits_an_answer_where_it_says_which() -> None:
    assert judge(Output(expect_error=True, status=(200,)), SEEN) == []
    assert judge(Output(expect_error=True, status=(403,)), SEEN) == ["status 200 instead of 403"]


def test_what_the_log_says_is_told_with_a_fault() -> None:
    seen = Observation(status=405, told=("edge: method_not_allowed",))
    assert judge(Output(status=(200,)), seen) == [
        "status 405 instead of 200",
        "the log says: edge: method_not_allowed",
    ]
    assert judge(Output(status=(405,)), seen) == []


def test_a_line_holds_no_line_ends() -> None:
    assert Match(1, "m", "a\nb").line() == '[id "1"] [msg "m"] [data "a\\x0ab"]'
