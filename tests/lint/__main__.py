"""`make lint`: every check, a line each, and what is wrong under those that failed.

With names as arguments only those checks: `python -m tests.lint ruff mypy`.
"""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.lint.checks import CHECKS, Check
from tests.lint.result import Result


def main(names: list[str]) -> int:
    """Run the checks and return the exit code."""
    unknown = sorted(set(names) - {check.name for check in CHECKS})
    if unknown:
        known = ", ".join(check.name for check in CHECKS)
        sys.stderr.write(f"lint: there is no check {unknown[0]!r}; there are: {known}\n")
        return 2
    chosen = [check for check in CHECKS if not names or check.name in names]
    # Most checks wait for one processor, the audits for the network.
    with ThreadPoolExecutor(max_workers=4) as pool:
        results = list(zip(chosen, pool.map(_perform, chosen), strict=True))
    for check, result in results:
        sys.stdout.write(_shown(check, result))
    counts = Counter(result.state for _, result in results)
    sys.stdout.write(
        f"lint: {counts['passed']} passed, {counts['failed']} failed, {counts['not checked']} skipped\n"
    )
    return 1 if counts["failed"] else 0


def _perform(check: Check) -> Result:
    try:
        return check.perform()
    except Exception as error:  # one that breaks is a failure, and hides no other
        return Result("failed", f"the check itself broke: {type(error).__name__}: {error}")


def _shown(check: Check, result: Result) -> str:
    if result.state == "passed":
        return f"{check.name}: passed\n"
    if result.state == "not checked":
        return f"{check.name}: not checked: {result.text}\n"
    details = "".join(f"    {line}\n" for line in result.text.splitlines())
    return f"{check.name}: FAILED\n{details}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
