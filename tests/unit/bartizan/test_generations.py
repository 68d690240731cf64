"""Generations on disk: put in place at once, old ones removed, a refused one gone without a trace."""

from pathlib import Path

import pytest

from bartizan import generations
from bartizan.errors import BartizanError
from bartizan.generations import KEEP, activate, current_generation, new_generation, prune
from bartizan.layout import Layout, Nginx
from bartizan.policy import Policy

POLICY = Policy.model_validate({"routes": ()})


def layout(folder: Path, nginx: str = "exit 0") -> Layout:
    """Lay out a gateway whose nginx is a shell script."""
    binary = folder / "nginx"
    binary.write_text(f"#!/bin/sh\n{nginx}\n", encoding="utf-8")
    binary.chmod(0o755)
    return Layout(
        state=folder,
        work=folder / "work",
        lua=folder,
        openresty=folder,
        nginx=Nginx(binary, "1.22.1", "0.10.23", ()),
        worker_user=None,
        rules=folder / "rules",
    )


@pytest.fixture(autouse=True)
def _render(monkeypatch: pytest.MonkeyPatch) -> None:
    def render(_policy: Policy, _layout: Layout, folder: Path) -> None:
        (folder / "nginx.conf").write_text(
            'lua_package_path "/a/?.lua;;";\n  lua_shared_dict x 1m;\n', "utf-8"
        )

    monkeypatch.setattr(generations, "render", render)


TAKEN = 'case "$*" in */rehearsal.conf) printf ready;; esac'


def test_a_good_one_is_kept_and_serves_nothing_yet(tmp_path: Path) -> None:
    where = layout(tmp_path, TAKEN)
    folder = new_generation(POLICY, where)
    assert [path.name for path in folder.iterdir()] == ["nginx.conf"]
    assert current_generation(where) is None


def test_the_rehearsal_has_the_stores_and_paths_of_the_real_thing(tmp_path: Path) -> None:
    where = layout(tmp_path, 'case "$*" in */rehearsal.conf) cat "$6" >&2; exit 1;; esac')
    with pytest.raises(BartizanError, match="the edge refuses") as error:
        new_generation(POLICY, where)
    assert '    lua_package_path "/a/?.lua;;";\n    lua_shared_dict x 1m;\n' in str(error.value)


@pytest.mark.parametrize(
    ("nginx", "message"),
    [
        ("echo 'nginx: [emerg] host not found in upstream \"a\" in /x:3' >&2; exit 1",
         'nginx refuses the rendered configuration: host not found in upstream "a"'),
        ("echo 'nginx: [emerg] bind() to [::]:443 failed (13: Permission denied)' >&2; exit 1",
         "this user may not listen on [::]:443; run as root, or with CAP_NET_BIND_SERVICE"),
        ("exit 1", "nginx refuses the rendered configuration: it does not say why"),
        ("case $* in */rehearsal.conf) echo 'nginx: [error] init_by_lua error: no plan' >&2; exit 1;; esac",
         "the edge refuses the rendered policy: init_by_lua error: no plan"),
    ],
)  # fmt: skip
def test_a_refused_one_is_gone(tmp_path: Path, nginx: str, message: str) -> None:
    where = layout(tmp_path, nginx)
    with pytest.raises(BartizanError) as error:
        new_generation(POLICY, where)
    assert str(error.value) == message
    assert list(where.generations.iterdir()) == []


def test_the_link_always_leads_somewhere(tmp_path: Path) -> None:
    where = layout(tmp_path, TAKEN)
    one, two = new_generation(POLICY, where), new_generation(POLICY, where)
    activate(where, one)
    assert current_generation(where) == one
    activate(where, two)
    assert current_generation(where) == two
    assert where.configuration.is_file()
    assert sorted(path.name for path in where.edge.iterdir()) == ["current", "generations"]


def test_old_ones_go_and_the_one_that_serves_stays(tmp_path: Path) -> None:
    where = layout(tmp_path, TAKEN)
    folders = [where.generations / f"2026112{number}T000000-aaaaaa" for number in range(8)]
    for folder in folders:
        folder.mkdir(parents=True)
    activate(where, folders[0])
    prune(where)
    assert sorted(where.generations.iterdir()) == [folders[0], *folders[-(KEEP - 1) :]]
