"""Installing a release."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bartizan.errors import BartizanError
from bartizan.rules.install import MANIFEST, Installed, install, installed
from bartizan.rules.problems import RulesError
from bartizan.rules.read import read_rules
from bartizan.rules.tree import find_tree
from tests.support.rule_tree import FILES, IDS, write_tree

NAME = "crs-4.99.1"


def _archive(path: Path, changed: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in {**FILES, **(changed or {})}.items():
            about = tarfile.TarInfo(f"coreruleset-4.99.1/{name}")
            about.size = len(text.encode())
            tar.addfile(about, io.BytesIO(text.encode()))
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Stream(httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "var/rules/installed"


def _ids(name: str, state: Path) -> list[int]:
    tree = find_tree(installed(name, state))
    return [rule.id for rule in read_rules(tree.order(), tree.core).rules]


def _left(state: Path) -> list[str]:
    return sorted(path.name for path in state.iterdir())


def test_an_archive_is_installed_and_pinned(tmp_path: Path, state: Path) -> None:
    archive = _archive(tmp_path / "crs.tar.gz")
    made = install(str(archive), state)
    assert made == Installed(NAME, "4.99.1", state / NAME, len(IDS), _sha256(archive), str(archive))
    assert installed(NAME, state) == state / NAME
    assert _ids(NAME, state) == list(IDS)
    assert _left(state) == [".lock", NAME]
    manifest = json.loads((state / NAME / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["sha256"] == _sha256(archive)
    assert manifest["files"] == {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in FILES.items()
    }


def test_a_folder_is_installed_with_the_checksum_of_its_content(tmp_path: Path, state: Path) -> None:
    write_tree(tmp_path / "a", {"README.md": "not a rule\n"})
    made = install(str(tmp_path / "a"), state)
    assert _ids(NAME, state) == list(IDS)
    other = install(str(write_tree(tmp_path / "b")), tmp_path / "other", made.sha256.upper())
    assert other.sha256 == made.sha256
    changed = write_tree(tmp_path / "c", {"rules/scanners.data": "nikto\n"})
    with pytest.raises(
        BartizanError, match=f"is not what was demanded: its SHA-256 is [0-9a-f]{{64}}, not {made.sha256}"
    ):
        install(str(changed), tmp_path / "other", made.sha256)


def test_debians_two_folders_become_one(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path / "usr")
    monkeypatch.setattr("bartizan.rules.tree.DEBIAN_RULES", tmp_path / "usr/rules")
    monkeypatch.setattr("bartizan.rules.tree.DEBIAN_SETUP", tmp_path / "etc")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/crs-setup.conf").write_text('SecAction "id:1,phase:1,pass"\n', encoding="utf-8")
    own = "REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf"
    (tmp_path / "etc" / own).write_text('SecAction "id:2,phase:1,pass"\n', encoding="utf-8")
    install(str(tmp_path / "usr"), state)
    assert _ids(NAME, state)[:2] == [1, 2]


def test_an_address_is_fetched(tmp_path: Path, state: Path) -> None:
    archive = _archive(tmp_path / "crs.tar.gz")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Stream(archive.read_bytes())))
    made = install("https://example.com/crs.tar.gz", state, _sha256(archive), transport=transport)
    assert (made.source, made.sha256) == ("https://example.com/crs.tar.gz", _sha256(archive))
    assert _left(state) == [".lock", NAME]


def test_the_same_again_changes_nothing(tmp_path: Path, state: Path) -> None:
    archive = _archive(tmp_path / "crs.tar.gz")
    assert install(str(archive), state).new
    before = (state / NAME / MANIFEST).stat().st_mtime_ns
    assert not install(str(archive), state).new
    assert not install(str(write_tree(tmp_path / "a")), state).new
    assert (state / NAME / MANIFEST).stat().st_mtime_ns == before


def test_other_rules_of_the_same_version_take_no_place_unless_they_are_told_to(
    tmp_path: Path, state: Path
) -> None:
    install(str(_archive(tmp_path / "a.tar.gz")), state)
    other = str(_archive(tmp_path / "b.tar.gz", {"rules/scanners.data": "other\n"}))
    with pytest.raises(BartizanError, match=r"has other rules under the same version; .* say --replace"):
        install(other, state)
    assert (state / NAME / "rules/scanners.data").read_text(encoding="utf-8") == FILES["rules/scanners.data"]
    assert install(other, state, replace=True).new
    assert (state / NAME / "rules/scanners.data").read_text(encoding="utf-8") == "other\n"
    assert _left(state) == [".lock", NAME]


@pytest.mark.parametrize("name", ["rules/scanners.data", "rules/new.conf", "crs-setup.conf", MANIFEST])
def test_what_was_changed_afterwards_is_not_used(name: str, tmp_path: Path, state: Path) -> None:
    archive = str(_archive(tmp_path / "crs.tar.gz"))
    install(archive, state)
    (state / NAME / name).write_text("changed\n", encoding="utf-8")
    with pytest.raises(BartizanError, match=rf"{NAME}/{name} (is not what was installed|can't be read)"):
        installed(NAME, state)
    assert install(archive, state).new
    assert installed(NAME, state) == state / NAME


def test_a_file_that_is_gone_is_told(tmp_path: Path, state: Path) -> None:
    install(str(_archive(tmp_path / "crs.tar.gz")), state)
    (state / NAME / "rules/scanners.data").unlink()
    with pytest.raises(BartizanError, match=r"rules/scanners\.data is not what was installed"):
        installed(NAME, state)


@pytest.mark.parametrize("name", ["crs-9", "", ".", "..", "../installed/crs-4.99.1", ".lock", "a/b"])
def test_a_name_that_is_not_installed_is_told_with_those_that_are(
    name: str, tmp_path: Path, state: Path
) -> None:
    with pytest.raises(BartizanError, match="none is installed; see bartizan rules install --help"):
        installed(name, state)
    install(str(_archive(tmp_path / "crs.tar.gz")), state)
    with pytest.raises(BartizanError, match=f"installed are: {NAME}$"):
        installed(name, state)


def test_rules_with_a_mistake_are_not_installed(tmp_path: Path, state: Path) -> None:
    archive = _archive(tmp_path / "crs.tar.gz", {"rules/REQUEST-942-SQLI.conf": "\nSecRul x\n"})
    with pytest.raises(RulesError) as error:
        install(str(archive), state)
    assert str(error.value) == (
        f"{archive}/rules/REQUEST-942-SQLI.conf:2: unknown directive SecRul; did you mean SecRule?"
    )
    assert _left(state) == [".lock"]


def test_rules_without_a_version_are_not_installed(tmp_path: Path, state: Path) -> None:
    folder = write_tree(tmp_path / "a", {"rules/REQUEST-901-INITIALIZATION.conf": 'SecAction "id:1"\n'})
    with pytest.raises(BartizanError, match="states no version"):
        install(str(folder), state)
    assert _left(state) == [".lock"]


@pytest.mark.parametrize("sha256", ["", "abc", "x" * 64, "a" * 63, "a" * 65])
def test_a_checksum_that_is_none_is_told(sha256: str, tmp_path: Path, state: Path) -> None:
    with pytest.raises(BartizanError, match="is no SHA-256"):
        install(str(write_tree(tmp_path / "a")), state, sha256)


def test_an_archive_that_is_not_the_demanded_one_is_not_unpacked(tmp_path: Path, state: Path) -> None:
    archive = tmp_path / "crs.tar.gz"
    archive.write_bytes(b"\x1f\x8b no archive at all")
    with pytest.raises(BartizanError, match="is not what was demanded"):
        install(str(archive), state, "a" * 64)


def test_a_source_that_is_not_there_is_told(state: Path) -> None:
    with pytest.raises(BartizanError, match=r"nowhere is not there; name a folder, an archive"):
        install("nowhere", state)
