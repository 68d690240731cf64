"""The plot: processor time for one request, a panel for each scenario.

The library is matplotlib, which draws without a browser or a display.
"""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("agg")  # needs no display

from matplotlib import pyplot as plt

from load.bench.report import shown
from load.bench.rows import Row, ratio

COLUMNS: Final = 2
_OURS: Final = "#0b6e4f"
_BASE: Final = "#7a7a7a"
_PEER: Final = "#b8b8b8"


def draw(path: Path, rows: Sequence[Row], machine: dict[str, Any]) -> None:
    """Draw what has figures; write nothing if there is none."""
    drawn = [row for row in rows if row.error is None]
    scenarios = list(dict.fromkeys(row.scenario for row in drawn))
    if not scenarios:
        return
    lines = ceil(len(scenarios) / COLUMNS)
    columns = min(COLUMNS, len(scenarios))
    figure, grid = plt.subplots(
        lines, columns, figsize=(7 * columns, 0.8 + 2.3 * lines), squeeze=False, layout="constrained"
    )
    for axes, scenario in zip(grid.flat, scenarios, strict=False):
        _panel(axes, scenario, [row for row in drawn if row.scenario == scenario])
    for axes in grid.flat[len(scenarios) :]:
        axes.set_visible(False)
    figure.suptitle(
        "Processor time of the worker for one request (shorter is better; the dark grey bar is the base)\n"
        f"{machine['processor']}, {machine['cores']} cores, {machine['date'][:10]}; "
        f"medians of {machine['rounds']} alternated rounds",
        fontsize=11,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _panel(axes: Any, scenario: str, rows: Sequence[Row]) -> None:
    names = [row.target for row in rows]
    colours = [
        _OURS if row.target.startswith("bartizan") else _BASE if row.target == row.base else _PEER
        for row in rows
    ]
    bars = axes.barh(names, [row.cpu_us for row in rows], color=colours)
    times = [ratio(rows, row) for row in rows]
    labels = [
        f"{row.cpu_us:,.1f} µs" + ("" if value is None else f"  ({shown(value)} times base)")
        for row, value in zip(rows, times, strict=True)
    ]
    axes.bar_label(bars, labels, padding=4, fontsize=9)
    axes.set_title(scenario, loc="left", fontsize=10, fontweight="bold")
    axes.invert_yaxis()
    axes.margins(x=0.28)
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
