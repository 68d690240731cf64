"""The model of model.lua, driven from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.support.lua import Lua

Step = int | dict[str, int]


@dataclass(frozen=True)
class Outcome:
    """What became of a schedule: the workers' log, and the most that were inside at once."""

    log: list[list[Any]]
    most: int
    world: Any

    def passed(self) -> list[int]:
        """Give the stamps of what a bucket let through, in time's order."""
        return sorted(entry[2] for entry in self.log if entry[0] == "take" and entry[3] is not False)


@dataclass(frozen=True)
class Orders:
    """What became of every order of steps: how many orders, and the extremes."""

    count: int
    least_granted: int
    most_granted: int
    most_inside: int


def kill(place: int) -> int:
    """Give the step that kills a worker."""
    return -place - 1


class Model:
    """One LuaJIT with the model in it."""

    def __init__(self) -> None:
        self.lua = Lua()
        self._module = self.lua.require("unit.lua.limits.model")

    # lupa makes one table of a dict that it meets twice in a nested list, and an empty one of the second.
    def jobs(self, jobs: Sequence[dict[str, Any]]) -> Any:
        """Make a worker's list of jobs."""
        return self.lua.table([dict(job) for job in jobs])

    def schedule(self, schedule: Sequence[Step]) -> Any:
        """Make a schedule."""
        return self.lua.table([dict(step) if isinstance(step, dict) else step for step in schedule])

    def start(
        self, jobs: Sequence[Sequence[dict[str, Any]]], *, capacity: int = 100, unlocked: bool = False
    ) -> Any:
        """Make a world whose workers have these jobs."""
        return self._module.new(self.lua.table([self.jobs(worker) for worker in jobs]), capacity, unlocked)

    def every(
        self, jobs: Sequence[Sequence[dict[str, Any]]], steps: int, key: str, *, unlocked: bool = False
    ) -> Orders:
        """Play every order in which two workers can make so many steps each."""
        lists = self.lua.table([self.jobs(worker) for worker in jobs])
        return Orders(*self._module.every(lists, steps, key, unlocked))

    def play(
        self,
        jobs: Sequence[Sequence[dict[str, Any]]],
        schedule: Sequence[Step],
        *,
        key: str = "",
        capacity: int = 100,
        unlocked: bool = False,
    ) -> Outcome:
        """Run each worker's jobs by a schedule, then to their end."""
        world = self.start(jobs, capacity=capacity, unlocked=unlocked)
        most = world.play(world, self.schedule(schedule), key)
        return Outcome(self.lua.python(world.log), most, world)


def schedules(workers: int) -> st.SearchStrategy[list[Step]]:
    """Give schedules in which workers are stepped in runs, put aside, and killed, while time passes."""
    run = st.tuples(st.integers(0, workers - 1), st.integers(1, 12)).map(lambda run: [run[0]] * run[1])
    pause = st.integers(1, 400).map(lambda time: [{"wait": time}])
    death = st.integers(0, workers - 1).map(lambda place: [kill(place)])
    return st.lists(st.one_of(run, run, run, pause, death), max_size=60).map(
        lambda parts: [step for part in parts for step in part]
    )
