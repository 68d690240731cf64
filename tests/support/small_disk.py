"""A disk that fills up: a tmpfs of a few pages, mounted over a folder for a while."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

_FILLER: Final = "filler"


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A mounted disk.

    Attributes:
        folder: where.
    """

    folder: Path

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.folder / _FILLER).open("ab", buffering=0) as filler:
            for size in (4096, 1):
                try:
                    while True:
                        filler.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def make_room(self) -> None:
        """Take away what `fill` wrote."""
        (self.folder / _FILLER).unlink()


def _mount(folder: Path, size: str, owner: os.stat_result) -> subprocess.CompletedProcess[str]:
    options = f"size={size},mode={owner.st_mode & 0o7777:o},uid={owner.st_uid},gid={owner.st_gid}"
    return subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Mount an empty disk over a folder, with the folder's owner and rights.

    Where this user may not mount, the test is skipped, and says so.

    Args:
        folder: it exists.
        size: such as `64k`.
    """
    if shutil.which("mount") is None:
        pytest.skip("NOT TESTED: there is no mount command, so no disk can be made that fills up")
    done = _mount(folder, size, folder.stat())
    if done.returncode != 0:
        pytest.skip(f"NOT TESTED: this user may not mount a disk that fills up: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a gateway may have files open on it.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
