"""`make bench`: measure, print the tables, write the report and the plot."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console

from load.bench import fixed_rate, machine, plot, report, tokens, traffic
from load.bench.catalogue import missing
from load.bench.progress import Progress
from load.bench.rows import Row
from load.bench.run import Bench, Plan
from load.bench.scenarios import SCENARIOS, select
from load.command import number, stop

ROOT: Final = Path(__file__).resolve().parents[2]


def main(words: list[str] | None = None) -> int:
    """Run and return the exit code: 0 if every row has figures."""
    arguments = _arguments(words)
    signal.signal(signal.SIGTERM, stop)
    for command in ("nginx", "openssl", "wrk"):
        if shutil.which(command) is None:
            _say(f"{command} is not installed: run make setup")
            return 1
    left_out = missing()
    paced_rounds = arguments.paced_rounds
    if shutil.which("h2load") is None:
        paced_rounds, left_out = 0, {**left_out, "the fixed rate": "h2load is not installed"}
    plan = Plan(arguments.only, left_out, arguments.rounds, arguments.seconds, paced_rounds)
    _say("Preparing tokens (a quarter of a minute, once a month)")
    made = tokens.ready(ROOT / "build" / "bench", arguments.tokens)
    try:
        rows = _measure(plan, made)
    except KeyboardInterrupt:
        _say("Stopped; nothing was written")
        return 130
    about = {
        **machine.describe(),
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "connections": traffic.CONNECTIONS,
        "left_out": left_out,
    }
    report.write(arguments.reports / "bench.json", rows, about)
    plot.draw(arguments.reports / "bench.png", rows, about)
    # Into a file as wide as the tables are.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    report.show(console, rows, left_out)
    _say(f"The report is in {arguments.reports}/bench.json, the plot in bench.png beside it")
    return 1 if any(row.error is not None for row in rows) else 0


def _measure(plan: Plan, made: tokens.Tokens) -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="bartizan-bench-"))
    folder.chmod(0o755)  # nginx's workers have no rights
    try:
        with Progress(plan.steps()) as progress, Bench(plan, folder, made, progress) as bench:
            return bench.run()
    finally:
        shutil.rmtree(folder)


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m load.bench", description="Measure the gateway beside its peers."
    )
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    parser.add_argument("--only", type=_scenarios, default=SCENARIOS, help=f"some of: {names}")
    parser.add_argument("--rounds", type=number(1, 20), default=3, help="how often each is driven")
    parser.add_argument("--seconds", type=number(1, 60), default=4, help="for how long each time")
    parser.add_argument(
        "--paced-rounds", type=number(0, 20), default=fixed_rate.ROUNDS, help="how often at a fixed rate"
    )
    parser.add_argument(
        "--tokens",
        type=number(2, 1_000_000),
        default=tokens.COUNT,
        help="how many different tokens there are",
    )
    parser.add_argument("--reports", type=Path, default=ROOT / "build" / "reports", help="where to write")
    return parser.parse_args(words)


def _scenarios(text: str) -> object:
    try:
        return select(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _say(sentence: str) -> None:
    sys.stderr.write(f"bench: {sentence}\n")


if __name__ == "__main__":
    sys.exit(main())
