"""The edge's files are found in a checkout and in an installed wheel."""

from pathlib import Path

import pytest

from bartizan.assets import find_assets
from bartizan.errors import BartizanError

ROOT = Path(__file__).parents[3]


def test_in_this_checkout() -> None:
    assets = find_assets()
    assert (assets.lua, assets.openresty) == (ROOT / "lua", ROOT / "openresty")


def test_in_an_installed_wheel(tmp_path: Path) -> None:
    (tmp_path / "bartizan" / "_edge" / "lua" / "bartizan").mkdir(parents=True)
    (tmp_path / "bartizan" / "_edge" / "openresty").mkdir()
    assert find_assets(tmp_path / "bartizan").lua == tmp_path / "bartizan" / "_edge" / "lua"


def test_nowhere(tmp_path: Path) -> None:
    with pytest.raises(BartizanError, match="install bartizan again"):
        find_assets(tmp_path)
