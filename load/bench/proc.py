"""What the kernel says of a process in /proc: processor time, and memory."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_KIB: Final = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


def processor_seconds(pids: Iterable[int], proc: Path = PROC) -> tuple[float, float]:
    """Return the user and system time that processes have used so far, and how long they waited for a core.

    All their threads are included. Who waits has work to do while somebody else has the core.

    It is read from schedstat, in nanoseconds: the ticks in /proc/PID/stat are 10 ms long, and are the same
    time, cut in two by sampling.
    """
    fields = [
        task.joinpath("schedstat").read_text(encoding="ascii").split()
        for pid in pids
        for task in (proc / str(pid) / "task").iterdir()
    ]
    return sum(int(field[0]) for field in fields) / 1e9, sum(int(field[1]) for field in fields) / 1e9


def peak_mib(pid: int, proc: Path = PROC) -> float:
    """Return the most memory that a process ever had resident, in MiB."""
    return _kib(proc / str(pid) / "status")["VmHWM"] / 1024


def proportional_mib(pid: int, proc: Path = PROC) -> float:
    """Return the memory of a process in MiB: what is shared with n processes counts by a n-th."""
    return _kib(proc / str(pid) / "smaps_rollup")["Pss"] / 1024


def unshared_mib(pid: int, proc: Path = PROC) -> float:
    """Return the same without shared memory: nginx's shared stores are no worker's own."""
    rollup = _kib(proc / str(pid) / "smaps_rollup")
    return (rollup["Pss"] - rollup["Pss_Shmem"]) / 1024


def _kib(path: Path) -> dict[str, int]:
    return {name: int(value) for name, value in _KIB.findall(path.read_text(encoding="ascii"))}
