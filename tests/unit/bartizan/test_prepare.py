"""Folders and their rights."""

import os
import pwd
import stat
import tempfile
from pathlib import Path

import pytest

from bartizan.errors import BartizanError
from bartizan.layout import SYSTEM_WORK, Layout, Nginx, work_folder
from bartizan.policy import Policy
from bartizan.prepare import (
    WORKER_USER,
    closed_to_workers,
    find_layout,
    find_state,
    prepare_certificate,
    prepare_folders,
    remove_stale_sockets,
)

NGINX = Nginx(Path("/usr/sbin/nginx"), "1.22.1", "0.10.23", ())
ROOT = os.geteuid() == 0


def layout(folder: Path) -> Layout:
    """Lay out a gateway, the work folder beside the rest."""
    user = WORKER_USER if ROOT else None
    return Layout(folder, folder / "work", Path("/lua"), Path("/openresty"), NGINX, user, folder / "rules")


def mode(path: Path) -> int:
    """Return who may do what."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_work_folder_is_for_the_workers_alone(tmp_path: Path) -> None:
    where = layout(tmp_path)
    prepare_folders(where)
    owner = pwd.getpwnam(WORKER_USER).pw_uid if ROOT else os.geteuid()
    for folder in (where.work, where.keys):
        assert (mode(folder), folder.stat().st_uid) == (0o700, owner)
    assert mode(where.log) == 0o750


def test_it_may_be_done_again(tmp_path: Path) -> None:
    where = layout(tmp_path)
    prepare_folders(where)
    prepare_folders(where)
    assert where.generations.is_dir()


def test_a_folder_that_cant_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        BartizanError, match="can't be made or used: not a directory; name another with --state DIR"
    ):
        prepare_folders(layout(tmp_path / "file" / "state"))


def test_root_keeps_the_workers_folder_out_of_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert work_folder(tmp_path).parent == SYSTEM_WORK
    assert work_folder(tmp_path) == work_folder(tmp_path) != work_folder(tmp_path / "other")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert work_folder(tmp_path) == tmp_path / "work"


def test_a_state_folder_is_named_absolutely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_state(Path("a/../var")).state == tmp_path / "var"


@pytest.mark.parametrize("name", ["a$b", 'a"b', "a;b", "a{b", "a\nb", "ä"])
def test_a_state_folder_that_nginx_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BartizanError, match="has characters that nginx can't take"):
        find_state(tmp_path / name)


def test_a_state_folder_too_deep_for_a_socket_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bartizan.prepare.find_nginx", lambda _: NGINX)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BartizanError, match="is too deep"):
        find_layout(tmp_path / ("x" * 100), None)


@pytest.mark.skipif(not ROOT, reason="only root starts workers as another user")
def test_a_folder_that_workers_cant_enter_is_found() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        state = Path(folder, "state")
        where = layout(state)
        prepare_folders(where)
        assert closed_to_workers(where) == Path(folder)
        Path(folder).chmod(0o711)
        assert closed_to_workers(where) is None
        where.log.chmod(0o700)
        assert closed_to_workers(where) == where.log


def test_who_is_not_root_has_no_other_workers(tmp_path: Path) -> None:
    where = Layout(tmp_path, tmp_path, tmp_path, tmp_path, NGINX, None, tmp_path)
    assert closed_to_workers(where) is None


def test_only_sockets_are_removed(tmp_path: Path) -> None:
    where = layout(tmp_path)
    prepare_folders(where)
    where.fetch_socket.touch()
    (where.keys / "issuer.json").touch()
    remove_stale_sockets(where)
    assert not where.fetch_socket.exists()
    assert (where.keys / "issuer.json").exists()


def test_a_development_certificate_only_where_no_other_is_named(tmp_path: Path) -> None:
    where = layout(tmp_path)
    assert not prepare_certificate(Policy.model_validate({"listen": {"https": "off"}, "routes": ()}), where)
    named = {"tls": {"certificate": "a", "key": "b"}, "routes": ()}
    assert not prepare_certificate(Policy.model_validate(named), where)
    assert prepare_certificate(Policy.model_validate({"origin": "https://[::1]:1", "routes": ()}), where)
    assert not prepare_certificate(Policy.model_validate({"origin": "https://[::1]:1", "routes": ()}), where)
