"""A wall clock for nginx alone that can be set while it runs; the monotonic clock and everybody else's stay.

It is libfaketime in nginx's processes. Workers lose all variables that no `env` line of nginx.conf names, and
libfaketime reads them at every call.
"""

import tempfile
from pathlib import Path
from typing import Final, Self

import pytest

from tests.support.altered_nginx import altered_nginx

_VARIABLES: Final = ("FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC")


class WallClock:
    """The clock; use it in a `with`.

    Attributes:
        environment: of the gateway whose nginx has it.
    """

    def __init__(self) -> None:
        """Make one that tells the time."""
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        if not libraries:
            pytest.fail("libfaketime is not installed; on Debian: apt install libfaketime")
        self._folder = tempfile.TemporaryDirectory(prefix="bartizan-clock-")
        folder = Path(self._folder.name)
        folder.chmod(0o755)  # workers read in it
        self._file = folder / "clock"
        self.set(0)
        values = dict.fromkeys(_VARIABLES, "1") | {_VARIABLES[0]: str(self._file)}
        programs = folder / "programs"
        programs.mkdir()
        self.environment = altered_nginx(
            programs,
            {"pcre_jit on;": "".join(f"env {name}; " for name in _VARIABLES) + "pcre_jit on;"},
            {"LD_PRELOAD": str(libraries[0]), "NO_FAKE_STAT": "1", **values},
        )

    def set(self, seconds: int) -> None:
        """Put the clock forward by so much, or back where it is negative, of what everybody else has."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n", encoding="ascii")
        new.replace(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
