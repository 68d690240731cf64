"""How `make lint` tells what it found."""

from collections.abc import Callable

import pytest

from tests.lint import __main__ as lint
from tests.lint.checks import CHECKS, Check
from tests.lint.result import Output, Result, judge, run


def broken() -> Result:
    raise ZeroDivisionError("by nothing")


GOOD = Check("good", lambda: Result("passed"))
BAD = Check("bad", lambda: Result("failed", "line 1\nline 2"))
ABSENT = Check("absent", lambda: Result("not checked", "the database can't be reached"))
BROKEN = Check("broken", broken)


@pytest.mark.parametrize(
    ("checks", "code", "said"),
    [
        ([GOOD], 0, "good: passed\nlint: 1 passed, 0 failed, 0 skipped\n"),
        (
            [GOOD, ABSENT],
            0,
            (
                "good: passed\nabsent: not checked: the database can't be reached\n"
                "lint: 1 passed, 0 failed, 1 skipped\n"
            ),
        ),
        (
            [BAD, GOOD],
            1,
            "bad: FAILED\n    line 1\n    line 2\ngood: passed\nlint: 1 passed, 1 failed, 0 skipped\n",
        ),
        (
            [BROKEN],
            1,
            (
                "broken: FAILED\n    the check itself broke: ZeroDivisionError: by nothing\n"
                "lint: 0 passed, 1 failed, 0 skipped\n"
            ),
        ),
    ],
    ids=["good", "not checked", "bad", "broken"],
)
def test_every_check_has_its_line_and_a_failure_its_reason(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    checks: list[Check],
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(lint, "CHECKS", checks)
    assert lint.main([]) == code
    assert capsys.readouterr().out == said


def test_checks_can_be_chosen_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lint, "CHECKS", [GOOD, BAD])
    assert lint.main(["good"]) == 0
    assert lint.main(["best"]) == 2
    assert capsys.readouterr().err == "lint: there is no check 'best'; there are: good, bad\n"


def test_the_names_are_each_another() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names) >= 16


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (Output(0, "fine", ""), Result("passed")),
        (Output(1, "out", "err"), Result("failed", "out\nerr")),
        (Output(3, "", ""), Result("failed", "ended with 3 and said nothing")),
    ],
)
def test_a_tools_exit_code_is_its_verdict(output: Output, result: Result) -> None:
    assert judge(output) == result


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["sh", "-c", "echo out; echo err >&2; exit 3"], lambda seen: seen == Output(3, "out\n", "err\n")),
        (["no-such-tool"], lambda seen: seen.code == 127 and "no-such-tool is not installed" in seen.stderr),
    ],
    ids=["there", "missing"],
)
def test_a_tool_is_run(command: list[str], expected: Callable[[Output], bool]) -> None:
    assert expected(run(command))
