"""Installing a release of the Core Rule Set: checked, pinned, and put in its place in one step."""

import fcntl
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from bartizan.errors import BartizanError
from bartizan.rules.archive import unpack, wanted
from bartizan.rules.problems import Place, Problem, RulesError
from bartizan.rules.read import read_rules
from bartizan.rules.tree import RuleTree, find_tree

if TYPE_CHECKING:
    import httpx

MANIFEST: Final = "installed.json"
_FORMAT: Final = 1
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Installed:
    """A release that can be named in a policy.

    Attributes:
        name: such as crs-4.28.0.
        version: such as 4.28.0.
        folder: where it lies.
        rules: how many rules it has.
        sha256: of the archive; of a folder, of its files' names and contents.
        source: where it came from.
        new: whether it was not there before.
    """

    name: str
    version: str
    folder: Path
    rules: int
    sha256: str
    source: str
    new: bool = True


def install(
    source: str,
    folder: Path,
    sha256: str | None = None,
    *,
    replace: bool = False,
    transport: "httpx.BaseTransport | None" = None,
) -> Installed:
    """Install a release.

    Args:
        source: a folder, an archive (.tar.gz, .zip), or the https address of one.
        folder: where releases are installed.
        sha256: what the checksum must be; None to take what comes, and pin it.
        replace: whether another content may take the place of an installed release of the same version.
        transport: how requests are made; None for the network.

    Raises:
        BartizanError: it is no Core Rule Set, or not the one that was demanded; nothing was changed.
    """
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise BartizanError(
            f"{sha256!r} is no SHA-256; it has 64 hexadecimal digits, as sha256sum prints them"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder), tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as scratch:
        made = Path(scratch, "release")
        made.mkdir()
        found = _take(source, made, Path(scratch, "archive"), sha256, transport)
        return _place(made, folder, source, found, replace=replace)


def installed(name: str, folder: Path) -> Path:
    """Return where an installed release lies, if it still is what was installed.

    Args:
        name: as `install` named it.
        folder: where releases are installed.

    Raises:
        BartizanError: there is none of that name, or its files were changed.
    """
    if not _NAME.fullmatch(name) or not (folder / name / MANIFEST).is_file():
        there = ", ".join(sorted(path.parent.name for path in folder.glob(f"[!.]*/{MANIFEST}")))
        hint = f"installed are: {there}" if there else "none is installed; see bartizan rules install --help"
        raise BartizanError(f"no rules of the name {name} are installed in {folder}; {hint}")
    release = folder / name
    pinned, now = _pinned(release), _sums(release)
    changed = sorted(file for file in {*pinned, *now} if pinned.get(file) != now.get(file))
    if changed:
        raise BartizanError(
            f"{release / changed[0]} is not what was installed; keep rules of your own in files of their own,"
            " and install the release again"
        )
    return release


def _take(
    source: str, made: Path, archive: Path, sha256: str | None, transport: "httpx.BaseTransport | None"
) -> str:
    """Bring a source's rules into a folder; return its checksum, judged before anything is unpacked."""
    if "://" in source:
        # A tenth of a second that no other command should wait for.
        from bartizan.rules.fetch import fetch  # noqa: PLC0415

        fetch(source, archive, transport)
    elif Path(source).is_dir():
        _copy(find_tree(Path(source)), made)
        return _demanded(_sum_of(_sums(made)), sha256, source)
    elif Path(source).is_file():
        archive = Path(source)
    else:
        raise BartizanError(
            f"{source} is not there; name a folder, an archive (.tar.gz, .zip) or an https address"
        )
    with archive.open("rb") as file:
        found = _demanded(hashlib.file_digest(file, "sha256").hexdigest(), sha256, source)
    try:
        unpack(archive, made)
    except BartizanError as error:
        raise BartizanError(str(error).replace(str(archive), source)) from error
    return found


def _demanded(found: str, sha256: str | None, source: str) -> str:
    if sha256 is not None and sha256.lower() != found:
        raise BartizanError(
            f"{source} is not what was demanded: its SHA-256 is {found}, not {sha256.lower()}"
        )
    return found


def _copy(tree: RuleTree, made: Path) -> None:
    """Copy a release's folder, or what Debian's package has in two."""
    where = dict.fromkeys(tree.rule_files, made / "rules")
    for folder, inside in ((tree.setup, ""), (tree.rules, "rules"), (tree.plugins, "plugins")):
        for file in sorted(folder.glob("*")):
            if file.is_file() and wanted(PurePosixPath(inside, file.name)):
                where[file] = made / inside
    for file, folder in where.items():
        folder.mkdir(exist_ok=True)
        shutil.copyfile(file, folder / file.name)


def _count(made: Path, source: str) -> int:
    """Return how many rules there are; what is wrong with them is told of where they come from."""
    tree = find_tree(made)
    try:
        return len(read_rules(tree.order(), tree.core).rules)
    except RulesError as error:
        raise RulesError(
            Problem(Place(Path(source) / one.place.path.relative_to(made), one.place.line), one.message)
            for one in error.problems
        ) from None


def _place(made: Path, folder: Path, source: str, sha256: str, *, replace: bool) -> Installed:
    version = find_tree(made).version
    if version is None:
        raise BartizanError(f"{source} states no version: SecComponentSignature is missing in its rules")
    rules = _count(made, source)
    name = f"crs-{version}"
    place = folder / name
    told = Installed(name, version, place, rules, sha256, source)
    if place.exists() and not replace:
        try:
            installed(name, folder)
        except BartizanError:
            pass  # what lies there is of no use to anybody
        else:
            if _pinned(place) == _sums(made):
                return Installed(name, version, place, rules, sha256, source, new=False)
            raise BartizanError(
                f"{name} is installed already, and {source} has other rules under the same version;"
                " if these are to be trusted, say --replace"
            )
    manifest = {
        "format": _FORMAT,
        "name": name,
        "version": version,
        "source": source,
        "sha256": sha256,
        "rules": rules,
        "files": _sums(made),
    }
    (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    if place.exists():
        place.rename(made.parent / "old")
    made.rename(place)
    return told


def _pinned(release: Path) -> dict[str, str]:
    """Return the checksums that its files had when they were installed."""
    try:
        files = json.loads((release / MANIFEST).read_text(encoding="utf-8"))["files"]
        return {str(name): str(value) for name, value in files.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BartizanError(f"{release / MANIFEST} can't be read; install the release again") from error


def _sums(release: Path) -> dict[str, str]:
    return {
        str(PurePosixPath(file.relative_to(release))): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(release.rglob("*"))
        if file.is_file() and file != release / MANIFEST
    }


def _sum_of(sums: dict[str, str]) -> str:
    """Return one checksum for many: that of what sha256sum would print of them, sorted by name."""
    listing = "".join(f"{value}  {name}\n" for name, value in sorted(sums.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
