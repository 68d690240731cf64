"""gixy over the nginx configuration that the demo policy is rendered to.

A finding that is no fault here is named in EXCUSES, with the reason. An excuse holds for one plugin and one
text in the configuration; one that no finding meets any more is a failure, so that the list stays true.
"""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
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


EXCUSES: Final = (
    Excuse(
        "http_splitting",
        "rewrite ^ /.bartizan/$bartizan_class last;",
        "the class is one of the words in edge.json, chosen by the edge; nothing that a client sent is in it",
    ),
    Excuse(
        "add_header_redefinition",
        "add_header X-Content-Type-Options $bartizan_answer$bartizan_lines_",
        "the one value has the lines of all the others in it: lua/bartizan/edge.lua, variables.conf.j2",
    ),
    Excuse(
        "worker_rlimit_nofile_vs_connections",
        "worker_rlimit_nofile",
        "the two connections of a request, client's and upstream's, need three files: its body is the third",
    ),
    Excuse(
        "try_files_is_evil_too",
        "try_files /.well-known/acme-challenge/$bartizan_target =404;",
        "certbot's folder is asked for a few files every two months, so a cache of open files gains nothing",
    ),
)

# gixy takes the Lua of a block that it does not know for directives, and what follows for the block's inside.
_LUA_BLOCK: Final = re.compile(r"(_by_lua_block(?: \$\w+)?) \{[^{}]*\}")


def check(execute: Run = run) -> Result:
    """Render the demo policy and let gixy judge the result."""
    rendered = execute(["bartizan", "render", "gateway.yaml", "--state", STATE])
    if rendered.code != 0:
        return judge(rendered)
    configuration = (Path(rendered.stdout.strip()) / "nginx.conf").read_text(encoding="utf-8")
    return gixy(configuration, EXCUSES, execute)


def gixy(configuration: str, excuses: Sequence[Excuse], execute: Run = run) -> Result:
    """Let gixy judge a configuration, and weigh what it found."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "nginx.conf"
        file.write_text(_LUA_BLOCK.sub(r"\1 { }", configuration), encoding="utf-8")
        output = execute(["gixy", "--format", "json", str(file)])
    try:
        findings = json.loads(output.stdout)
    except ValueError:
        return judge(output) if output.code != 0 else Result("failed", "gixy said nothing")
    return judge_findings(findings, excuses)


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
