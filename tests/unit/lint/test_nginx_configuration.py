"""gixy's findings, and the excuses for those that are none."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.lint.nginx_configuration import Excuse, check, gixy, judge_findings
from tests.lint.result import Output

LINE = "rewrite ^ /.bartizan/$bartizan_class last;"
FINDING: dict[str, Any] = {
    "plugin": "http_splitting",
    "severity": "HIGH",
    "line": 149,
    "reason": 'At least variable "$bartizan_class" can contain "\\n"',
    "config": f"\nserver {{\n\t{LINE}\n}}",
}
EXCUSE = Excuse("http_splitting", LINE, "nothing that a client sent is in it")

CONFIGURATION = """\
events { }
http {
    server_tokens off;
    exit_worker_by_lua_block { require("bartizan.edge").stop_worker() }
    server {
        listen 8080;
        location / { %s }
    }
}
"""


@pytest.mark.parametrize(
    ("findings", "excuses", "faults"),
    [
        ([], [], []),
        ([FINDING], [EXCUSE], []),
        ([FINDING], [], ["HIGH http_splitting, line 149"]),
        ([FINDING], [EXCUSE._replace(plugin="ssrf")], ["HIGH http_splitting", "excuse of ssrf"]),
        ([FINDING], [EXCUSE._replace(within="$uri")], ["HIGH http_splitting", "excuse of http_splitting"]),
        ([], [EXCUSE], ["is met by nothing: take it out"]),
    ],
    ids=["nothing", "excused", "no excuse", "another plugin", "another place", "stale excuse"],
)
def test_a_finding_needs_its_excuse_and_an_excuse_its_finding(
    findings: list[dict[str, Any]], excuses: list[Excuse], faults: list[str]
) -> None:
    result = judge_findings(findings, excuses)
    assert result.state == ("failed" if faults else "passed")
    assert [fault for fault in faults if fault not in result.text] == []


@pytest.mark.parametrize(
    ("directive", "state", "plugin"),
    [("return 204;", "passed", ""), ("proxy_pass http://127.0.0.1:1$uri;", "failed", "http_splitting")],
    ids=["good", "bad"],
)
def test_gixy_sees_what_stands_after_lua(directive: str, state: str, plugin: str) -> None:
    result = gixy(CONFIGURATION % directive, ())
    assert result.state == state, result.text
    assert plugin in result.text
    assert "version_disclosure" not in result.text


def test_a_policy_that_cannot_be_rendered_is_a_failure() -> None:
    def execute(command: Sequence[str]) -> Output:
        assert command[:2] == ["bartizan", "render"]
        return Output(1, "", "bartizan: gateway.yaml is not there")

    result = check(execute)
    assert (result.state, result.text) == ("failed", "bartizan: gateway.yaml is not there")


def test_a_gixy_that_breaks_is_a_failure() -> None:
    assert gixy("", (), lambda _: Output(2, "", "Traceback: KeyError")).state == "failed"
    assert gixy("", (), lambda _: Output(0, "", "")).state == "failed"
