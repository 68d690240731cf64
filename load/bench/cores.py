"""Which core does what: the worker that is measured has one of its own, everything else shares the others."""

import os
from collections.abc import Iterable
from pathlib import Path


class Cores:
    """The cores that this program may use, divided.

    Attributes:
        all: all of them.
        proxy: those of the measured worker.
        rest: those of the backend, the load and this program.
    """

    def __init__(self, usable: Iterable[int] | None = None) -> None:
        """Divide them; with one core alone all share it."""
        cores = sorted(os.sched_getaffinity(0) if usable is None else usable)
        self.all = set(cores)
        self.proxy = set(cores[:1])
        self.rest = set(cores[1:]) or self.proxy

    def keep_off(self) -> None:
        """Keep this program, and what it starts from now on, off the worker's core."""
        os.sched_setaffinity(0, self.rest)

    def give_back(self) -> None:
        """Let this program run everywhere again."""
        os.sched_setaffinity(0, self.all)

    def give_proxy(self, pids: Iterable[int]) -> None:
        """Let processes run on the worker's core only, with all threads that they have."""
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), self.proxy)
