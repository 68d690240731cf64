"""`make bench`: measure, print the table, write the report."""

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final, Never

from rich.console import Console
from rich.table import Table

from load.bench import tokens
from load.bench.cores import Cores
from load.bench.rows import ratio
from load.bench.run import PEERS, Plan, bench
from load.bench.scenarios import select

ROOT: Final = Path(__file__).resolve().parents[2]
REPORTS: Final = ROOT / "build" / "reports"
KEPT: Final = ROOT / "build" / "bench"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m load.bench")
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    scenarios = select(arguments.only)
    console = Console(stderr=True)
    made = tokens.ready(KEPT)
    cores = Cores()
    cores.keep_off()
    rows = []
    folder = Path(tempfile.mkdtemp(prefix="bartizan-bench-"))
    folder.chmod(0o755)
    with bench(folder, made, cores, console.print) as running:
        for scenario in scenarios:
            targets = tuple(name for name in scenario.targets if name in PEERS)
            rows += running.run(scenario, targets, Plan(arguments.rounds, arguments.seconds))
    table = Table("scenario", "target", "rps", "cpu us", "ratio", "p50", "p99", "rss", "busy", "by round")
    for row in rows:
        if row.error:
            table.add_row(row.scenario, row.target, row.error)
            continue
        found = row.as_json()
        table.add_row(
            row.scenario,
            row.target,
            f"{row.rps:.0f}",
            f"{row.cpu_us:.1f}",
            f"{ratio(rows, row) or 0:.2f}",
            f"{row.percentile(50):.2f}",
            f"{row.percentile(99):.2f}",
            f"{row.rss_mib:.0f}",
            f"{found['busy']}",
            " ".join(f"{r.cpu_us:.1f}" for r in row.rounds),
        )
    Console(width=150).print(table)
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / "bench.json").write_text(
        json.dumps({"rows": [row.as_json() for row in rows], "machine": {}}, indent=1)
    )
    return 0


def _stop(signum: int, _frame: object) -> Never:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
