"""What the operator sees."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from bartizan.errors import BartizanError, told
from bartizan.explain import Answer
from bartizan.policy.document import Document
from bartizan.policy.problems import PolicyError, Problem
from bartizan.rules.problems import RulesError


def say(text: str) -> None:
    """Tell what is being done, at once: under honcho or systemd it is read while the command runs on."""
    print(f"bartizan: {text}", flush=True)  # noqa: T201


def complain(text: str) -> None:
    """Tell what is wrong."""
    print(f"bartizan: {text}", file=sys.stderr, flush=True)  # noqa: T201


def refuse(error: BartizanError | OSError) -> None:
    """Tell why a command did not do what it was asked to."""
    if isinstance(error, PolicyError):
        count = len(error.problems)
        print(error, file=sys.stderr)  # noqa: T201
        complain(f"{error.path}: {count} {'mistake' if count == 1 else 'mistakes'}")
    elif isinstance(error, RulesError):
        count = len(error.problems)
        print(error, file=sys.stderr)  # noqa: T201
        complain(f"the rules: {count} {'mistake' if count == 1 else 'mistakes'}")
    else:
        complain(told(error))


@contextmanager
def progress_of(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield what is told how much is done of how much, and of what; nothing is shown before it is told.

    It goes to stderr, for stdout has what was asked for. Where nobody watches (a log, a pipe) one line says
    that it has begun.
    """
    bar = Progress(console=Console(stderr=True), transient=True)
    task = None

    def tell(done: int, total: int, part: str) -> None:
        nonlocal task
        if task is None:
            task = bar.add_task(what, total=total)
            if bar.console.is_terminal:
                bar.start()
            else:
                complain(f"{what}; the next time they are there already")
        bar.update(task, completed=done, total=total, description=f"{what}: {part}")

    try:
        yield tell
    finally:
        if bar.live.is_started:
            bar.stop()


def warn(path: object, problems: tuple[Problem, ...]) -> None:
    """Tell what is doubtful about a policy that can be served."""
    for problem in problems:
        where = f"{problem.key}: " if problem.key else ""
        print(f"{path}:{problem.line}: warning: {where}{problem.message}", file=sys.stderr)  # noqa: T201


def show(answer: Answer, document: Document, path: object) -> None:
    """Print what a request meets."""
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    console.print(Text(answer.sentence, style="bold"))
    if answer.route is None:
        return
    line, _ = document.place(("routes", answer.route.index))
    console.print(Text(f"{path}:{line}"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("part", "setting", "value", "from"):
        table.add_column(column, overflow="fold")
    previous = None
    for row in answer.rows:
        source = row.source
        if row.key is not None:
            source = f"{row.source} (line {document.place(row.key)[0]})"
        table.add_row(
            Text("" if row.part == previous else row.part, style="bold"),
            Text(row.setting),
            Text(row.value),
            Text(source, style="dim" if row.key is None else ""),
        )
        previous = row.part
    console.print(table)
