"""An installed wheel works like the checkout: it carries the edge, and finds it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bartizan.layout import work_folder

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, **options: object) -> str:
    """Run a command that must succeed, and return what it wrote."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=120, check=False, **options
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("bartizan-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    pip = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-index",
        "--no-deps",
    )
    run(*pip, "--target", folder, wheel)
    return folder


def environment(installed: Path) -> dict[str, str]:
    """Return the variables for running what is installed, and not the checkout."""
    return {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}


def test_it_carries_every_file_of_the_edge(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"bartizan/_edge/{path.relative_to(ROOT)}"
        for folder in ("lua/bartizan", "openresty")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    assert len(wanted) > 20
    assert wanted <= held


def test_its_commands_run_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "gateway.yaml", tmp_path)
    options = {"cwd": tmp_path, "env": environment(installed)}
    where = run(sys.executable, "-c", "import bartizan; print(bartizan.__file__)", **options)
    assert Path(where.strip()).is_relative_to(installed)
    assert run(installed / "bin" / "bartizan", "--version", **options).startswith("bartizan 0.")
    assert run(sys.executable, "-m", "bartizan", "check", **options).startswith(
        "bartizan: gateway.yaml is good"
    )
    state = tmp_path / "state"
    try:
        generation = run(sys.executable, "-m", "bartizan", "render", "--state", state, **options)
    finally:
        shutil.rmtree(work_folder(state), ignore_errors=True)
    configuration = Path(generation.strip(), "nginx.conf").read_text(encoding="utf-8")
    assert f"{installed}/bartizan/_edge/lua" in configuration
    assert str(ROOT / "lua") not in configuration
