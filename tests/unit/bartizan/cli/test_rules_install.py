"""`bartizan rules install`, as a person types it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bartizan.cli.app import app
from bartizan.errors import BartizanError
from tests.support.rule_tree import IDS, write_tree


def _install(state: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["rules", "install", *arguments, "--state", str(state)])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_it_tells_the_name_the_number_of_rules_and_the_checksum(tmp_path: Path) -> None:
    source = str(write_tree(tmp_path / "crs"))
    first, second = _install(tmp_path / "var", source).splitlines()
    place = tmp_path / "var/rules/installed/crs-4.99.1"
    assert first == f"bartizan: installed: crs-4.99.1 ({len(IDS)} rules) in {place}"
    assert second.endswith("; a policy names it so: rules: {source: crs-4.99.1}")
    sha256 = second.split()[2].rstrip(";")
    again = _install(tmp_path / "var", source, "--sha256", sha256)
    assert again.splitlines()[0] == first.replace("installed: crs", "still good: crs")


def test_a_checksum_that_differs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BartizanError, match="is not what was demanded"):
        _install(tmp_path / "var", str(write_tree(tmp_path / "crs")), "--sha256", "0" * 64)


def test_other_rules_need_replace(tmp_path: Path) -> None:
    _install(tmp_path / "var", str(write_tree(tmp_path / "crs")))
    other = str(write_tree(tmp_path / "other", {"rules/scanners.data": "other\n"}))
    with pytest.raises(BartizanError, match="say --replace"):
        _install(tmp_path / "var", other)
    assert "bartizan: installed: " in _install(tmp_path / "var", other, "--replace")


def test_debians_package_needs_no_installing(tmp_path: Path) -> None:
    said = _install(tmp_path / "var")
    assert said.startswith("bartizan: Debian's modsecurity-crs 3.")
    assert said.endswith("rules); it needs no installing\n")
    assert not (tmp_path / "var").exists()


def test_its_help_teaches_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = CliRunner().invoke(app, ["rules", "install", "--help"]).output
    assert "bartizan rules install https://" in said
    assert "modsecurity-crs" in said
