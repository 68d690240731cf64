"""lua/bartizan/keysets/disk.lua: a set comes back as it went, and only for whom it was."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

ISSUER = "https://issuer.test"
JWKS = "https://issuer.test/jwks.json"


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua()


def save(lua: Lua, path: Path, **changes: Any) -> Any:
    record = {"issuer": ISSUER, "jwks": JWKS, "fetched": 1_700_000_000, "set": '{"keys":[]}', **changes}
    return lua.require("bartizan.keysets.disk").save(str(path), lua.table(record))


def load(lua: Lua, path: Path, issuer: str = ISSUER, jwks: str = JWKS) -> Any:
    return lua.require("bartizan.keysets.disk").load(str(path), issuer, jwks)


def test_a_set_comes_back(lua: Lua, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert save(lua, path) is True
    assert load(lua, path) == ('{"keys":[]}', 1_700_000_000)
    assert json.loads(path.read_text())["set"] == '{"keys":[]}'
    assert list(tmp_path.iterdir()) == [path]


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_the_text(lua: Lua, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.json"
        assert save(lua, path, set=text, issuer=text) is True
        assert load(lua, path, issuer=text) == (text, 1_700_000_000)
        assert json.loads(path.read_text(encoding="utf-8"))["set"] == text


def test_the_longest_set_at_its_worst_comes_back(lua: Lua, tmp_path: Path) -> None:
    text = "\x01" * 262_144
    assert save(lua, tmp_path / "keys.json", set=text) is True
    assert load(lua, tmp_path / "keys.json")[0] == text


def test_a_later_set_takes_the_place_of_the_one_before(lua: Lua, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    save(lua, path, set="old" * 1000)
    save(lua, path, set="new")
    assert load(lua, path)[0] == "new"


def test_no_file_is_no_fault(lua: Lua, tmp_path: Path) -> None:
    assert load(lua, tmp_path / "keys.json") == (None, None)


def test_another_issuer_gets_nothing(lua: Lua, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    save(lua, path)
    assert load(lua, path, issuer=ISSUER + "/") == (None, None)
    assert load(lua, path, jwks="https://other.test/jwks.json") == (None, None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not readable"),
        (b"\x00\xff", "not readable"),
        (b"[]", "not readable"),
        (b"{}", "not of a known format"),
        (b'{"format":2,"issuer":"https://issuer.test","jwks":"x","fetched":1,"set":"x"}', "known format"),
        (b'{"format":1,"issuer":"https://issuer.test","jwks":"x","fetched":1,"set":{}}', "known format"),
        (b'{"format":1,"issuer":"https://issuer.test","jwks":"x","fetched":"1","set":"x"}', "known format"),
        (b'{"format":1,"format":1}', "duplicate name"),
        (b'{"format":1,"issuer":"https://issu', "ends too early"),
    ],
)
def test_a_damaged_file_is_named(lua: Lua, tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    result, err = load(lua, path)
    assert result is None
    assert str(path) in err
    assert reason in err


def test_a_folder_that_is_gone_is_said(lua: Lua, tmp_path: Path) -> None:
    result, err = save(lua, tmp_path / "gone" / "keys.json")
    assert result is None
    assert "No such file or directory" in err


def test_what_cannot_be_replaced_is_said(lua: Lua, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.mkdir()
    result, err = save(lua, path)
    assert result is None
    assert "could not rename" in err
    assert load(lua, path)[0] is None


def test_a_full_disk_leaves_the_old_file(lua: Lua, tmp_path: Path) -> None:
    """/dev/full takes no byte; the temporary name leads there."""
    path = tmp_path / "keys.json"
    save(lua, path)
    (tmp_path / "keys.json.new").symlink_to("/dev/full")
    result, err = save(lua, path, set="new" * 10_000)
    assert result is None
    assert "No space left on device" in err
    assert load(lua, path) == ('{"keys":[]}', 1_700_000_000)
