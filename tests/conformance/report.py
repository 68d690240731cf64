"""The report: a file for programs, and what people read."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.conformance.run import Ran

_SHOWN: Final = 400


def write(folder: Path, suites: Sequence[Ran], engine: str) -> Path:
    """Write the file and return its path."""
    # What ModSecurity makes of the tests is not what people look for here.
    name = "conformance.json" if engine == "bartizan" else f"conformance-{engine}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    document = {"engine": engine, "suites": [as_json(suite) for suite in suites]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def as_json(ran: Ran) -> dict[str, Any]:
    """Return a suite's part of the report."""
    return {
        "crs": ran.crs,
        "families": [
            str(family) for family in sorted({int(test.rule) // 1000 for test in ran.selection.tests})
        ],
        "held": ran.selection.held,
        "left_out": dict(sorted(ran.selection.left_out.items())),
        "ran": ran.ran,
        "stages": sum(len(test.stages) for test in ran.selection.tests),
        "passed": ran.passed,
        "excused": [{"test": test.test, "why": test.why} for test in ran.excused],
        "failed": [{"test": test.test, "why": test.why} for test in (*ran.failed, *ran.stale)],
    }


def show(suites: Sequence[Ran], path: Path) -> None:
    """Print what came of it."""
    for ran in suites:
        for failure in (*ran.failed, *ran.stale):
            _say(f"FAILED {failure.test}: {failure.why[:_SHOWN]}")
        by_rule = Counter(failure.test.partition("-")[0] for failure in ran.failed)
        if by_rule:
            _say("failures by rule: " + ", ".join(f"{rule} {count}" for rule, count in by_rule.most_common()))
        for reason, count in sorted(ran.selection.left_out.items()):
            _say(f"left out: {count} ({reason})")
        for failure in ran.excused:
            _say(f"excused {failure.test}: {failure.why}")
        for failure in ran.stale:
            _say(f"stale override: {failure.test}")
        _say(
            f"CRS {ran.crs}: {ran.selection.held} tests in its files, {ran.ran} ran: {ran.passed} passed, "
            f"{len(ran.excused)} excused, {len(ran.failed)} failed"
        )
    _say(f"the report is in {path}")


def _say(sentence: str) -> None:
    sys.stdout.write(sentence + "\n")
