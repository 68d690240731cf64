"""Taking a release out of an archive."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.errors import BartizanError
from bartizan.rules import archive as module
from bartizan.rules.archive import unpack
from tests.support.rule_tree import FILES

FIRST = "rules/REQUEST-901-INITIALIZATION.conf"
Pack = Callable[[Path, dict[str, bytes]], Path]


def _tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return path


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


both = pytest.mark.parametrize("pack", [_tar, _zip])


def _unpack(folder: Path, archive: Path) -> dict[str, bytes]:
    target = folder / "release"
    target.mkdir()
    unpack(archive, target)
    return {str(file.relative_to(target)): file.read_bytes() for file in target.rglob("*") if file.is_file()}


@both
@pytest.mark.parametrize("root", ["", "crs-4.99.1/", "./", "./a/b/"])
def test_the_rules_of_a_release_are_taken_and_nothing_else(pack: Pack, root: str, tmp_path: Path) -> None:
    release = {name: text.encode() for name, text in FILES.items()}
    others = dict.fromkeys(
        [
            "README.md",
            "tests/regression/tests/a.yaml",
            "rules/x.sh",
            "rules/deep/y.conf",
            "util/rules/z.conf",
        ],
        b"no",
    )
    files = {root + name: content for name, content in {**others, **release}.items()}
    files["elsewhere/rules/q.conf" if root else "x/rules/q.conf"] = b"no"
    assert _unpack(tmp_path, pack(tmp_path / "archive", files)) == release


@both
def test_the_release_nearest_to_the_root_is_meant(pack: Pack, tmp_path: Path) -> None:
    files = {f"a/vendor/{FIRST}": b"inner", f"a/{FIRST}": b"outer"}
    assert _unpack(tmp_path, pack(tmp_path / "archive", files)) == {FIRST: b"outer"}


@both
@pytest.mark.parametrize(
    "name", ["../evil.conf", "/etc/evil.conf", "a/../../evil.conf", "rules\\..\\evil.conf"]
)
def test_a_name_that_reaches_outside_is_refused(pack: Pack, name: str, tmp_path: Path) -> None:
    archive = pack(tmp_path / "archive", {FIRST: b"x", name: b"evil"})
    with pytest.raises(BartizanError, match="reaches outside of the archive"):
        _unpack(tmp_path, archive)
    assert not list(tmp_path.rglob("evil.conf"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_tar_with_what_is_no_file_is_refused(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(FIRST), io.BytesIO())
        about = tarfile.TarInfo("rules/words.data")
        about.type, about.linkname = kind, "/etc/passwd"
        tar.addfile(about)
    with pytest.raises(BartizanError, match=r"rules/words\.data is no plain file"):
        _unpack(tmp_path, path)


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "archive", {FIRST: b"x"})
    link = zipfile.ZipInfo("rules/words.data")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(BartizanError, match=r"rules/words\.data is no plain file"):
        _unpack(tmp_path, path)


@both
def test_the_content_is_bounded(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_CONTENT", 100_000)
    small = pack(tmp_path / "small", {FIRST: b"x", "tests/zeros": bytes(50_000)})
    assert _unpack(tmp_path, small) == {FIRST: b"x"}
    large = pack(tmp_path / "large", {FIRST: b"x", "tests/zeros": bytes(100_001)})
    (tmp_path / "again").mkdir()
    with pytest.raises(BartizanError, match="holds more than 100000 bytes"):
        _unpack(tmp_path / "again", large)


def test_the_size_in_a_tars_own_headers_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header of an extended format may be as long as it likes, and is read into memory."""
    monkeypatch.setattr(module, "LARGEST_CONTENT", 100_000)
    path = tmp_path / "archive"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        about = tarfile.TarInfo(FIRST)
        about.pax_headers = {"comment": "x" * 200_000}
        tar.addfile(about, io.BytesIO())
    with pytest.raises(BartizanError, match="holds more than 100000 bytes"):
        _unpack(tmp_path, path)


@both
def test_the_number_of_entries_is_bounded(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_MEMBERS", 3)
    files = {FIRST: b"x", "a": b"", "b": b""}
    assert _unpack(tmp_path, pack(tmp_path / "few", files)) == {FIRST: b"x"}
    (tmp_path / "again").mkdir()
    with pytest.raises(BartizanError, match="holds more than 3 entries"):
        _unpack(tmp_path / "again", pack(tmp_path / "many", {**files, "c": b""}))


@both
def test_an_archive_of_something_else_is_told(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(BartizanError, match="holds no Core Rule Set: rules/REQUEST-901-"):
        _unpack(tmp_path, pack(tmp_path / "archive", {"README.md": b"x"}))


@pytest.mark.parametrize("content", [b"", b"plain text", b"BZh9", b"\x7fELF"])
def test_what_is_no_archive_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(BartizanError, match=r"is neither a \.tar\.gz nor a \.zip"):
        _unpack(tmp_path, tmp_path / "archive")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_a_damaged_archive_is_told_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    pack = data.draw(st.sampled_from([_tar, _zip]))
    whole = bytearray(
        pack(folder / "archive", {FIRST: b"SecMarker A\n" * 20, "rules/a.data": b"b"}).read_bytes()
    )
    for position in data.draw(st.lists(st.integers(4, len(whole) - 1), max_size=3)):
        whole[position] = data.draw(st.integers(0, 255))
    (folder / "archive").write_bytes(whole[: data.draw(st.integers(4, len(whole)))])
    try:
        files = _unpack(folder, folder / "archive")
    except BartizanError as error:
        files = {str(error): b""}
    assert files
    assert {path.name for path in folder.iterdir()} == {"archive", "release"}
