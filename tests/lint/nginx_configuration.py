"""gixy over the nginx configuration that the demo policy is rendered to.

A finding that is no fault here is named in EXCUSES, with the reason. An excuse holds for one plugin and one
text in the configuration; one that no finding meets any more is a failure, so that the list stays true.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tests.lint.result import Result, Run, judge, run

# As root the gateway's work folder is named after this path: one path, one folder, however often this runs.
STATE: Final = "build/lint"


class Excuse(NamedTuple):
    """A finding to pass over.

    Attributes:
        plugin: gixy's name of the check.
        within: A text that the configuration around the finding has.
        reason: Why the finding is no fault here.
    """

    plugin: str
    within: str
    reason: str


EXCUSES: Final[tuple[Excuse, ...]] = ()


def check(execute: Run = run) -> Result:
    """Render the demo policy and let gixy judge the result."""
    rendered = execute(["bartizan", "render", "gateway.yaml", "--state", STATE])
    if rendered.code != 0:
        return judge(rendered)
    configuration = f"{rendered.stdout.strip()}/nginx.conf"
    output = execute(["gixy", "--format", "json", configuration])
    try:
        findings = json.loads(output.stdout)
    except ValueError:
        return judge(output) if output.code != 0 else Result("failed", "gixy said nothing")
    return judge_findings(findings, EXCUSES)


def judge_findings(findings: Sequence[dict[str, Any]], excuses: Sequence[Excuse]) -> Result:
    """Fail on a finding without an excuse, and on an excuse without a finding."""
    met: set[Excuse] = set()
    faults = []
    for finding in findings:
        meets = [
            excuse
            for excuse in excuses
            if excuse.plugin == finding["plugin"] and excuse.within in finding["config"]
        ]
        met.update(meets)
        if not meets:
            where = f"{finding['severity']} {finding['plugin']}, line {finding['line']}"
            faults.append(f"{where}: {finding.get('reason') or finding['summary']}\n{finding['config']}")
    faults += [
        f"the excuse of {excuse.plugin} ({excuse.within!r}) is met by nothing: take it out"
        for excuse in excuses
        if excuse not in met
    ]
    return Result("failed", "\n".join(faults)) if faults else Result("passed")
