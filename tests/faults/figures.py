"""Figures of tests (how many requests were sent, answered, lost): shown when a run ends, kept as JSON.

pytest carries them in a report's `user_properties`, so they also come from the processes of pytest-xdist.
"""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.faults.bounds import chosen

Figures = dict[str, int | float | str]
REPORT: Final = Path(__file__).resolve().parents[2] / "build" / "reports" / "faults.json"
_PROPERTY: Final = "figures"


def attach(item: pytest.Item) -> Figures:
    """Return an empty dictionary that goes along with a test's report."""
    figures: Figures = {}
    item.user_properties.append((_PROPERTY, figures))
    return figures


class _Told(NamedTuple):
    test: str
    outcome: str
    figures: Figures


class FiguresPlugin:
    """Prints a table of all figures, and with `-v` each test's as soon as it has ended."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._told: list[_Told] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        figures = next((value for name, value in report.user_properties if name == _PROPERTY), None)
        if report.when != "call" or not isinstance(figures, dict) or not figures:
            return
        self._told.append(_Told(report.nodeid, report.outcome, figures))
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and terminal.verbosity > 0:
            terminal.ensure_newline()
            terminal.write_line(_line(figures))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self._told:
            return
        self._told.sort(key=lambda told: told.test)
        terminalreporter.section(f"figures of the faults ({chosen()} bounds)")
        for told in self._told:
            failed = "" if told.outcome == "passed" else f" ({told.outcome})"
            terminalreporter.line(f"{told.test.removeprefix('tests/faults/')}{failed}")
            terminalreporter.line(_line(told.figures))
        self._write()
        terminalreporter.line(f"kept in {REPORT}")

    def _write(self) -> None:
        content = {
            "bounds": chosen(),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {"system": platform.platform(), "processors": os.cpu_count()},
            "tests": [told._asdict() for told in self._told],
        }
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _line(figures: Figures) -> str:
    return "    " + ", ".join(f"{name.replace('_', ' ')}: {_text(value)}" for name, value in figures.items())


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,d}" if isinstance(value, int) else f"{value:,.1f}"
