"""Compiled rules on disk, each in a folder of its own that appears whole or not at all.

A folder is found again while everything is the same that it was made of: the rule files and the data files
that they read, what an Include with a pattern finds, the settings, this compiler, and the Hyperscan and
processor that its databases are bound to.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bartizan.rules import hyperscan
from bartizan.rules.plan import FORMAT
from bartizan.rules.settings import RuleSettings

KEEP: Final = 8
KEEP_FOR: Final = 7 * 24 * 3600.0
_COMPILER: Final = 6  # grows when the same rules give another plan
_MANIFEST: Final = "manifest.json"
_UNFINISHED: Final = ".unfinished-"
_INCLUDE: Final = re.compile(
    r"^\s*Include(?:Optional)?\s+[\"']?([^\s\"']*[*?\[][^\s\"']*)", re.IGNORECASE | re.MULTILINE
)


class Entry:
    """A folder that is being filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, content: bytes) -> None:
        """Write one file, and have it on the disk."""
        with (self.folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


class Cache:
    """A folder of compiled rules."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from compiling at the same time: the second then finds what the first made."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def find(self, paths: Iterable[Path], settings: RuleSettings) -> Path | None:
        """Return the folder that was made of the same, if it is whole."""
        wanted = _made_of(paths, settings)
        for folder in self._entries():
            manifest = _manifest(folder)
            if manifest is not None and manifest["made_of"] == wanted and _is_good(folder, manifest):
                os.utime(folder)
                return folder
        return None

    @contextmanager
    def new_entry(self) -> Iterator[Entry]:
        """Give a folder to fill; it is taken away again if it is not kept."""
        folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._folder))
        folder.chmod(0o755)
        try:
            yield Entry(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(
        self, entry: Entry, files: Iterable[Path], paths: Iterable[Path], settings: RuleSettings
    ) -> Path:
        """Put a filled folder in its place, under the hash of what it was made of.

        Args:
            entry: the folder.
            files: every file that was read.
            paths: the rule files that were asked for.
            settings: those of the policy.
        """
        manifest = {
            "made_of": _made_of(paths, settings),
            "files": {str(path): _digest(path) for path in files},
            "included": {pattern: _found(pattern) for path in files for pattern in _included(path)},
            "holds": {path.name: _digest(path) for path in sorted(entry.folder.iterdir())},
        }
        text = json.dumps(manifest, indent=1, sort_keys=True)
        entry.write(_MANIFEST, text.encode())
        place = self._folder / hashlib.sha256(text.encode()).hexdigest()[:20]
        if place.exists():  # it was found broken
            shutil.rmtree(place)
        entry.folder.rename(place)
        self.prune(place)
        return place

    def prune(self, used: Path) -> None:
        """Take away what was not used for long, and what a command that was killed left half done."""
        for unfinished in self._folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        oldest = time.time() - KEEP_FOR
        for folder in self._entries()[KEEP:]:
            if folder != used and folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)

    def _entries(self) -> list[Path]:
        """Return the folders, those used last first."""
        if not self._folder.is_dir():
            return []
        found = [path for path in self._folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _made_of(paths: Iterable[Path], settings: RuleSettings) -> dict[str, Any]:
    made_of: dict[str, Any] = {
        "compiler": [FORMAT, _COMPILER],
        "hyperscan": hyperscan.identity(),
        "paths": [str(path.absolute()) for path in paths],
        "settings": asdict(settings),
    }
    # As it comes back from the disk: tuples are lists there.
    same: dict[str, Any] = json.loads(json.dumps(made_of))
    return same


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    whole = isinstance(manifest, dict) and {"made_of", "files", "included", "holds"} <= manifest.keys()
    return manifest if whole else None


def _is_good(folder: Path, manifest: dict[str, Any]) -> bool:
    try:
        return (
            all(_digest(Path(path)) == digest for path, digest in manifest["files"].items())
            and all(_found(pattern) == names for pattern, names in manifest["included"].items())
            and all(_digest(folder / name) == digest for name, digest in manifest["holds"].items())
        )
    except (OSError, AttributeError):
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _found(pattern: str) -> list[str]:
    path = Path(pattern)
    return sorted(map(str, Path(path.anchor).glob(str(path.relative_to(path.anchor)))))


def _included(path: Path) -> list[str]:
    """Return what a file includes by a pattern: another file may match it one day."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.suffix != ".data" else ""
    return [str(path.absolute().parent / pattern) for pattern in _INCLUDE.findall(text)]
