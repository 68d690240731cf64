"""Files that no one but their owner may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tokendealer.problems import PersonError


def write_private(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 that at any moment, a crash included, is absent, the old one, or complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_private(path: Path) -> bytes:
    """Read a file that must be private.

    Raises:
        PersonError: It is missing, cannot be read, or others than its owner can read it.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise PersonError(
                f"{path} can be read by others (mode {stat.S_IMODE(mode):04o}): chmod 600 {path}"
            )
        return path.read_bytes()
    except OSError as error:
        raise PersonError(f"cannot read {path}: {error.strerror}") from error
