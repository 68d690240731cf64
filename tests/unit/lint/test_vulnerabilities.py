"""What the audits' outputs mean; the outputs are in the tools' own words."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.lint import vulnerabilities
from tests.lint.result import Output, Result, Run

LOCK = "requirements/runtime.txt"
BANNER = (
    "\n\n+=====+\n\n\nDEPRECATED: this command (`check`) has been DEPRECATED, and will be unsupported.\n\n\n"
)
TRACEBACK = """\
Traceback (most recent call last):
  File "safety/utils/tls_probe.py", line 174, in _do_tls_probe
    client.head(url)
httpx.ConnectError: [Errno -2] Name or service not known
"""


def saying(output: Output, commands: list[Sequence[str]] | None = None) -> Run:
    def execute(command: Sequence[str]) -> Output:
        if commands is not None:
            commands.append(command)
        return output

    return execute


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": [], **more}


def unknown(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "skip_reason": f"Dependency not found on PyPI and could not be audited: {name} (1.0)",
    }


def audited(*packages: dict[str, Any], code: int = 0) -> Output:
    return Output(code, json.dumps({"dependencies": packages, "fixes": []}) + "\n", "")


def scanned(*flaws: dict[str, Any], code: int = 0, packages: int = 2) -> Output:
    report = {
        "report_meta": {"packages_found": packages},
        "scanned_packages": {f"package{number}": {} for number in range(packages)},
        "vulnerabilities": flaws,
        "ignored_vulnerabilities": [],
    }
    return Output(
        code, f"{BANNER}{json.dumps(report, indent=4)}\n{BANNER}", "AuthlibDeprecationWarning: {}\n"
    )


FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["1.1", "2.0"], "aliases": [], "description": "Bad."}
SAFETY_FLAW = {
    "package_name": "jinja2",
    "analyzed_version": "1.0",
    "vulnerability_id": "70612",
    "advisory": "Bad.",
}


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (audited(package("a"), package("b")), Result("passed")),
        (
            audited(package("a", vulns=[FLAW]), package("b"), code=1),
            Result("failed", "a 1.0: PYSEC-2026-1, fixed in 1.1, 2.0"),
        ),
        (
            audited(package("a", vulns=[FLAW | {"fix_versions": []}]), unknown("b"), code=1),
            Result("failed", "a 1.0: PYSEC-2026-1, no fixed release"),
        ),
        (
            audited(unknown("a"), unknown("b"), unknown("c"), unknown("d")),
            Result("not checked", "the database has no answer for 4 of 4 packages (a, b, c, ...)"),
        ),
        (
            audited(package("a"), unknown("b")),
            Result("not checked", "the database has no answer for 1 of 2 packages (b)"),
        ),
        (
            Output(
                1,
                "",
                "ERROR:pip_audit._cli:HTTPSConnectionPool: Max retries (Caused by NewConnectionError())\n",
            ),
            Result(
                "not checked",
                "the database can't be reached "
                "(ERROR:pip_audit._cli:HTTPSConnectionPool: Max retries (Caused by NewConnectionError()))",
            ),
        ),
        (
            Output(1, "", "ERROR:pip_audit._cli:package typer has duplicate requirements\n"),
            Result("failed", "ended with 1: ERROR:pip_audit._cli:package typer has duplicate requirements"),
        ),
        (audited(), Result("failed", 'ended with 0: {"dependencies": [], "fixes": []}')),
        (
            Output(127, "", "pip-audit is not installed; `make setup` installs it"),
            Result("failed", "ended with 127: pip-audit is not installed; `make setup` installs it"),
        ),
        (
            Output(124, "", "pip-audit timed out after 300 seconds"),
            Result("not checked", "the database can't be reached (pip-audit timed out after 300 seconds)"),
        ),
        (Output(0, "", ""), Result("failed", "ended with 0: it said nothing")),
    ],
    ids=[
        *("clean", "found", "found and unknown", "all unknown", "one unknown", "unreachable"),
        *("bad lock file", "nothing audited", "missing", "time-out", "silence"),
    ],
)
def test_pip_audit(output: Output, result: Result) -> None:
    assert vulnerabilities.pip_audit(LOCK, saying(output)) == result


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (scanned(), Result("passed")),
        (scanned(SAFETY_FLAW, code=64), Result("failed", "jinja2 1.0: 70612 Bad.")),
        (
            Output(1, "", TRACEBACK),
            Result(
                "not checked",
                "the database can't be reached (httpx.ConnectError: [Errno -2] Name or service not known)",
            ),
        ),
        (
            Output(68, f"{BANNER}Unable to load vulnerability database\n", ""),
            Result("not checked", "the database can't be reached (Unable to load vulnerability database)"),
        ),
        (
            Output(1, BANNER, "Traceback (most recent call last):\nKeyError: 'vulnerable_packages'\n"),
            Result("failed", "ended with 1: KeyError: 'vulnerable_packages'"),
        ),
        (scanned(packages=0), None),
        (scanned(code=71), None),
    ],
    ids=["clean", "found", "unreachable", "no database", "broken", "nothing scanned", "clean but failed"],
)
def test_safety(output: Output, result: Result | None) -> None:
    judged = vulnerabilities.safety(LOCK, saying(output))
    if result is None:
        assert judged.state == "failed"
    else:
        assert judged == result


@pytest.mark.parametrize("audit", [vulnerabilities.pip_audit, vulnerabilities.safety])
def test_the_lock_file_is_what_is_audited(audit: Any) -> None:
    commands: list[Sequence[str]] = []
    audit(LOCK, saying(Output(0, "", ""), commands))
    assert len(commands) == 1
    assert LOCK in commands[0]
