"""Processor time and memory, as /proc has them."""

import os
import time
from pathlib import Path

import pytest

from load.bench import proc

STATUS = "Name:\tnginx\nState:\tS (sleeping)\nVmPeak:\t   20480 kB\nVmHWM:\t    7680 kB\nThreads:\t2\n"
ROLLUP = """\
55d0c0000000-7ffd00000000 ---p 00000000 00:00 0                          [rollup]
Rss:               30720 kB
Pss:               20480 kB
Pss_Dirty:          9000 kB
Pss_Anon:           8192 kB
Pss_File:           4096 kB
Pss_Shmem:          8192 kB
"""


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A /proc with the processes 7 (two threads) and 8."""
    for pid, tasks in ((7, {7: 1_500_000_000, 9: 250_000_000}), (8, {8: 1})):
        for task, nanoseconds in tasks.items():
            folder = tmp_path / str(pid) / "task" / str(task)
            folder.mkdir(parents=True)
            folder.joinpath("schedstat").write_text(f"{nanoseconds} 777 42\n")
    tmp_path.joinpath("7", "status").write_text(STATUS)
    tmp_path.joinpath("7", "smaps_rollup").write_text(ROLLUP)
    return tmp_path


def test_all_threads_of_all_processes_count(fake: Path) -> None:
    assert proc.processor_seconds([7], fake) == pytest.approx((1.75, 1554e-9))
    assert proc.processor_seconds([7, 8], fake) == pytest.approx((1.750000001, 2331e-9), abs=1e-12)
    assert proc.processor_seconds([], fake) == (0, 0)


def test_memory(fake: Path) -> None:
    assert proc.peak_mib(7, fake) == 7.5
    assert proc.proportional_mib(7, fake) == 20
    assert proc.unshared_mib(7, fake) == 12


def test_the_kernel_writes_what_is_read() -> None:
    pid = os.getpid()
    (before, waited), begin = proc.processor_seconds([pid]), time.process_time()
    while time.process_time() - begin < 0.1:
        pass
    # The kernel brings the figure up to date at each tick, so some of it may be missing yet.
    used, waited_since = proc.processor_seconds([pid])
    assert used - before >= 0.05
    assert waited_since >= waited
    # It keeps the peak in a counter for each core, which lags behind by some pages.
    assert 1 < proc.unshared_mib(pid) <= proc.proportional_mib(pid) <= proc.peak_mib(pid) + 8
