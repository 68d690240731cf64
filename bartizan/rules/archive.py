"""Taking a release out of an archive: only the files that are rules, and nothing that reaches outside."""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Final

from bartizan.errors import BartizanError

LARGEST_CONTENT: Final = 128 * 1024 * 1024  # CRS 4.28 with its tests has 12 MiB
MOST_MEMBERS: Final = 20_000
_FIRST: Final = PurePosixPath("rules", "REQUEST-901-INITIALIZATION.conf")
_TOP: Final = frozenset({"crs-setup.conf", "crs-setup.conf.example", "LICENSE"})
_FOLDERS: Final = frozenset({"rules", "plugins"})
_SUFFIXES: Final = (".conf", ".data", ".example")


@dataclass(frozen=True, slots=True)
class _Member:
    """One entry of an archive; a file is None where it is no regular one."""

    name: str
    file: IO[bytes] | None


def wanted(path: PurePosixPath) -> bool:
    """Say whether a file of a release is one of its rules, seen from the release's folder."""
    if len(path.parts) == 1:
        return path.name in _TOP
    return len(path.parts) == 2 and path.parts[0] in _FOLDERS and path.name.endswith(_SUFFIXES)


def unpack(archive: Path, target: Path) -> None:
    """Write the rules of an archive to a folder.

    Args:
        archive: a .tar.gz or .zip, with the release in its root or in one folder.
        target: an empty folder.

    Raises:
        BartizanError: it is no such archive, too large, or its names reach outside of it.
    """
    try:
        root = _root(archive)
        for member in _members(archive):
            path = _path(archive, member.name)
            if not path.is_relative_to(root) or not wanted(inside := path.relative_to(root)):
                continue
            if member.file is None:
                raise BartizanError(f"{archive}: {member.name} is no plain file; a release has no links")
            file = target / inside
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(member.file.read())
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
    ) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise BartizanError(f"{archive} can't be unpacked: {error}") from error


def _root(archive: Path) -> PurePosixPath:
    """Return the folder in the archive in which the release lies: the one nearest to its root."""
    roots = [
        path.parent.parent
        for member in _members(archive)
        if (path := _path(archive, member.name)).parts[-2:] == _FIRST.parts
    ]
    if not roots:
        raise BartizanError(f"{archive} holds no Core Rule Set: {_FIRST} is not in it")
    return min(roots, key=lambda path: len(path.parts))


def _path(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise BartizanError(f"{archive}: the name {name!r} reaches outside of the archive")
    return path


def _members(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as file:
        kind = file.read(4)
        file.seek(0)
        if kind[:2] == b"\x1f\x8b":
            members = _of_tar(file)
        elif kind == b"PK\x03\x04":
            members = _of_zip(file)
        else:
            raise BartizanError(f"{archive} is neither a .tar.gz nor a .zip")
        for count, member in enumerate(members, 1):
            if count > MOST_MEMBERS:
                raise BartizanError(
                    f"{archive} holds more than {MOST_MEMBERS} entries; no release has that many"
                )
            yield member


def _of_tar(file: BinaryIO) -> Iterator[_Member]:
    with _bounded(gzip.GzipFile(fileobj=file)) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
        for member in tar:
            if not member.isdir():
                yield _Member(member.name, tar.extractfile(member) if member.isreg() else None)


def _of_zip(file: BinaryIO) -> Iterator[_Member]:
    left = LARGEST_CONTENT
    with zipfile.ZipFile(file) as packed:
        for member in packed.infolist():
            left -= member.file_size
            if left < 0:
                raise _too_large()
            if not member.is_dir():
                # zipfile reads no more than file_size, whatever follows.
                mode = member.external_attr >> 16
                plain = not stat.S_IFMT(mode) or stat.S_ISREG(mode)
                with packed.open(member) as inside:
                    yield _Member(member.filename, inside if plain else None)


def _too_large() -> BartizanError:
    return BartizanError(f"the archive holds more than {LARGEST_CONTENT} bytes; no release is that large")


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where it gets too long: a tar's own sizes are not trusted."""

    def __init__(self, source: gzip.GzipFile) -> None:
        super().__init__()
        self._source = source
        self._left = LARGEST_CONTENT

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._source.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large()
        return piece


@contextmanager
def _bounded(source: gzip.GzipFile) -> Iterator[_Bounded]:
    with source:
        yield _Bounded(source)
