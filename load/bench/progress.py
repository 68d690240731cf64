"""Says how far it is: a bar with the time that is left on a terminal, a line a step elsewhere.

The library is rich, which the commands print with already.
"""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """Tells of steps on standard error."""

    def __init__(self, steps: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        columns = (BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"))
        what = TextColumn("{task.description}")
        self._bar = Bar(*columns, TimeRemainingColumn(), what, console=self._console, transient=True)
        self._task = self._bar.add_task("", total=steps)
        self._steps = steps
        self._done = 0

    def step(self, what: str) -> None:
        """Tell that a step begins."""
        self._bar.update(self._task, description=what, completed=self._done)
        self._done += 1
        if not self._console.is_terminal:
            self._console.print(f"{self._done} of {self._steps}: {what}", highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
