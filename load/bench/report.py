"""The report: a file for programs, and tables for people."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from load.bench.budgets import judge
from load.bench.rows import Row, ratio

# The part of the time that a worker may wait for its core on a machine that does nothing else.
QUIET: Final = 0.05


def write(path: Path, rows: Iterable[Row], machine: dict[str, Any]) -> None:
    """Write the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {"rows": [row.as_json() for row in rows], "machine": machine}
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def show(console: Console, rows: Sequence[Row], left_out: dict[str, str]) -> None:
    """Print the tables."""
    console.print(_figures(rows))
    if any(row.paced for row in rows):
        console.print(_fixed_rate(rows))
    if verdicts := list(judge(rows)):
        table = _table("what it must show", ("the gateway's ...", "at most", "measured", ""))
        for verdict in verdicts:
            met = "met" if verdict.met else "NOT MET"
            table.add_row(verdict.what, shown(verdict.most), shown(verdict.measured), met)
        console.print(table)
    waited = max((row.waited for row in rows if row.error is None), default=0)
    if waited > QUIET:
        console.print(
            f"The machine was not quiet: others had a worker's core for up to {waited:.0%} of the time "
            "that was measured. Figures are dearer then, and ratios not to be trusted.",
            style="yellow",
        )
    for row in rows:
        if row.error is not None:
            console.print(
                f"{row.scenario}, {row.target}: no figure: {row.error}", highlight=False, style="red"
            )
    for name, why in left_out.items():
        console.print(f"{name} is left out: {why}", highlight=False)


def shown(value: float) -> str:
    """Write a ratio so that two digits of it are seen."""
    return f"{value:.2f}" if value >= 0.1 else f"1/{1 / value:.0f}"


def _figures(rows: Sequence[Row]) -> Table:
    columns = ("scenario", "target", "req/s", "µs/request", "ratio", "busy", "p50 ms", "p99 ms", "MiB")
    table = _table("processor time of the worker for one request; base: plain nginx, or the book", columns)
    before = ""
    for row in rows:
        if row.scenario != before:
            table.add_section()
        name = row.scenario if row.scenario != before else ""
        before = row.scenario
        if row.error is not None:
            table.add_row(name, row.target, "no figure: see below")
            continue
        times = ratio(rows, row)
        table.add_row(
            name,
            row.target,
            f"{row.rps:,.0f}",
            f"{row.cpu_us:,.1f}",
            "" if times is None else shown(times),
            f"{row.busy:.2f}",
            f"{row.percentile(50):.2f}",
            f"{row.percentile(99):.2f}",
            f"{row.memory.peak_mib:.0f}",
        )
    return table


def _fixed_rate(rows: Sequence[Row]) -> Table:
    table = _table(
        "at the same rate for both, 70 % of the gateway's peak",
        ("scenario", "target", "asked", "req/s", "p50 ms", "p99 ms", "p99 by round"),
    )
    for row in rows:
        paced = row.at_fixed_rate()
        if paced is not None:
            rounds = " ".join(f"{run.p99_ms:.2f}" for run in row.paced)
            figures = (
                f"{paced.asked:,.0f}",
                f"{paced.rps:,.0f}",
                f"{paced.p50_ms:.2f}",
                f"{paced.p99_ms:.2f}",
                rounds,
            )
            table.add_row(row.scenario, row.target, *figures)
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        words = column in {"scenario", "target", "", "the gateway's ..."}
        table.add_column(column, justify="left" if words else "right", no_wrap=True)
    return table
