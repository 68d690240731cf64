"""Known vulnerabilities in the locked packages, by pip-audit and by safety.

Both ask a database on the network. Where it can't be reached pip-audit passes as if all were well and safety
ends in a traceback; here both say that nothing was checked. Anything else that goes wrong is a failure.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tests.lint.result import Output, Result, Run, run

_UNREACHABLE: Final = re.compile(
    r"ConnectError|ConnectTimeout|ConnectionError|NewConnectionError|ReadTimeout|ProxyError"
    r"|Name or service not known|Temporary failure in name resolution|Connection refused"
    r"|Network is unreachable|timed out|unable to reach"
)
_SAFETY_FOUND: Final = 64
# The server is there but does not answer: too many requests, and no database to be had.
_SAFETY_NO_ANSWER: Final = (66, 68)


def pip_audit(requirements: str, execute: Run = run) -> Result:
    """Audit a lock file with pip-audit.

    Args:
        requirements: The lock file.
        execute: What runs the tool.

    Returns:
        ``failed`` with a line for each vulnerability; ``not checked`` where the index knows nothing of one
        package or more, and so may know nothing of their vulnerabilities either.
    """
    output = execute(
        [
            "pip-audit",
            "--requirement",
            requirements,
            "--disable-pip",
            "--progress-spinner",
            "off",
            "--format",
            "json",
        ]
    )
    report = _json_object(output.stdout)
    if report is None:
        return _broken(output)
    packages: list[dict[str, Any]] = report["dependencies"]
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}{_fixed_in(flaw['fix_versions'])}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    if found:
        return Result("failed", "\n".join(found))
    if output.code != 0 or not packages:
        return _broken(output)
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown:
        names = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        return Result(
            "not checked",
            f"the database has no answer for {len(unknown)} of {len(packages)} packages ({names})",
        )
    return Result("passed")


def safety(requirements: str, execute: Run = run) -> Result:
    """Audit a lock file with safety's open database, which needs no account.

    Args:
        requirements: The lock file.
        execute: What runs the tool.
    """
    output = execute(["safety", "check", "--file", requirements, "--output", "json"])
    report = _json_object(output.stdout)
    if report is None:
        return _broken(output)
    found = [
        f"{flaw['package_name']} {flaw['analyzed_version']}: {flaw['vulnerability_id']} {flaw['advisory']}"
        for flaw in report["vulnerabilities"]
    ]
    if found:
        return Result("failed", "\n".join(found))
    if output.code != 0 or not report["scanned_packages"]:
        return _broken(output)
    return Result("passed")


def _fixed_in(versions: list[str]) -> str:
    return f", fixed in {', '.join(versions)}" if versions else ", no fixed release"


def _json_object(text: str) -> dict[str, Any] | None:
    """Find the report; safety writes that it is out of date around it."""
    for start in re.finditer(r"^\{", text, re.MULTILINE):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start.start())
        except ValueError:
            continue
        return value if isinstance(value, dict) else None
    return None


def _last_lines(output: Output) -> Iterator[str]:
    for line in reversed(f"{output.stdout}\n{output.stderr}".splitlines()):
        if line.strip():
            yield line.strip()


def _broken(output: Output) -> Result:
    """Tell a database out of reach from a tool that failed for another reason, such as a bad lock file."""
    last = next(_last_lines(output), "it said nothing")
    if output.code in _SAFETY_NO_ANSWER or _UNREACHABLE.search(f"{output.stdout}\n{output.stderr}"):
        return Result("not checked", f"the database can't be reached ({last})")
    return Result("failed", f"ended with {output.code}: {last}")
