"""The report, the budgets, the tables and the plot."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from load.bench import plot, report
from load.bench.budgets import judge
from load.bench.fixed_rate import Paced
from load.bench.rows import Memory, Round, Row

MACHINE: dict[str, Any] = {"processor": "a processor", "cores": 2, "date": "2026-11-24T00:00:00", "rounds": 3}


def row(
    scenario: str, target: str, cost: float, own: float = 10, base: str = "nginx", waited: float = 0.01
) -> Row:
    measured = Round(1e6 / cost, cost, 0.75, waited, {50: 0.5, 90: 0.9, 99: 1.5})
    return Row(scenario, target, base, (measured,), (), Memory(20, 15, own))


ROWS = [
    row("token", "bartizan", 26),
    row("token", "nginx", 20),
    row("token", "haproxy", 50),
    Row("token", "envoy", error="no request was answered"),
    row("clients-100000", "bartizan", 40, own=30),
    row("clients-100000", "bartizan-10", 36),
    row("clients-100000", "nginx", 25),
    row("issue-token", "bartizan", 1000, base="book"),
    row("issue-token", "book", 40_000, base="book"),
]


def test_budgets_are_judged_where_both_rows_have_figures() -> None:
    verdicts = {verdict.what: (round(verdict.measured, 3), verdict.met) for verdict in judge(ROWS)}
    assert verdicts == {
        "token: time of plain nginx": (1.3, True),
        "token: time of HAProxy": (0.52, False),
        "100,000 clients: time with 10 clients": (1.111, True),
        "100,000 clients: time of token, each beside plain nginx in its rounds": (1.231, False),
        "100,000 clients: MiB of the worker besides the shared store": (30, True),
        "RS512 token issued: time of the book": (0.025, True),
    }


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "bench.json"
    report.write(path, ROWS, MACHINE)
    read = json.loads(path.read_text())
    assert read == {"rows": [row.as_json() for row in ROWS], "machine": MACHINE}
    assert {"scenario", "target", "rps", "cpu_us_per_request", "p99_ms", "rss_mib"} <= read["rows"][0].keys()


def test_the_tables() -> None:
    paced = Row("proxy", "nginx", rounds=ROWS[0].rounds, paced=(Paced(1001, 1000, 0.25, 4.5),))
    console = Console(width=120, record=True, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        report.show(console, [*ROWS, paced], {"haproxy": "haproxy is not installed"})
    lines = [" ".join(line.replace("│", " ").split()) for line in capture.get().splitlines()]
    assert "token bartizan 38,462 26.0 1.30 0.75 0.50 1.50 20" in lines
    assert "haproxy 20,000 50.0 2.50 0.75 0.50 1.50 20" in lines
    assert "envoy no figure: see below" in lines
    assert "proxy nginx 1,001 1,000 0.25 4.50 4.50" in lines
    assert "token: time of HAProxy 0.50 0.52 NOT MET" in lines
    assert "RS512 token issued: time of the book 1/30 1/40 met" in lines
    assert lines[-2:] == [
        "token, envoy: no figure: no request was answered",
        "haproxy is left out: haproxy is not installed",
    ]


@pytest.mark.parametrize(("waited", "told"), [(0.05, False), (0.3, True)])
def test_a_busy_machine_is_told(waited: float, told: bool) -> None:
    console = Console(width=300, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        report.show(console, [*ROWS, row("proxy", "nginx", 20, waited=waited)], {})
    assert ("others had a worker's core for up to 30% of the time" in capture.get()) == told


@pytest.mark.parametrize(
    ("value", "text"), [(1.304, "1.30"), (12.0, "12.00"), (0.1, "0.10"), (1 / 33.4, "1/33")]
)
def test_ratios_are_written_so_that_they_can_be_read(value: float, text: str) -> None:
    assert report.shown(value) == text


def test_the_plot(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "bench.png"
    plot.draw(path, ROWS, MACHINE)
    assert path.read_bytes().startswith(b"\x89PNG\r\n")


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    plot.draw(tmp_path / "bench.png", ROWS[3:4], MACHINE)
    assert not list(tmp_path.iterdir())
