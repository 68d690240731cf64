"""Private files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokendealer.files import read_private, write_private
from tokendealer.problems import PersonError


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_no_one_else_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, b"one")
    write_private(path, b"two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_private(path) == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    write_private(path, b"one")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"two")
    assert path.read_bytes() == b"one"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_what_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    write_private(path, b"one")
    path.chmod(mode)
    with pytest.raises(PersonError, match=f"can be read by others .mode {mode:04o}.: chmod 600 "):
        read_private(path)


def test_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PersonError, match=r"cannot read .*/none: No such file or directory"):
        read_private(tmp_path / "none")
