"""The systemd unit: its commands exist, and it is hardened."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from bartizan.cli.app import app

UNIT = Path(__file__).parents[3] / "openresty" / "bartizan.service"
SETTINGS = [
    tuple(line.split("=", 1))
    for line in UNIT.read_text(encoding="utf-8").splitlines()
    if "=" in line and not line.startswith("#")
]


def values(key: str) -> list[str]:
    """Return what a key of the unit is set to."""
    return [value for name, value in SETTINGS if name == key]


COMMANDS = [(name, shlex.split(value)) for name, value in SETTINGS if name.startswith("Exec")]


@pytest.mark.parametrize(("setting", "words"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_its_commands_are_the_commands_own(setting: str, words: list[str]) -> None:
    assert words[0] == "/opt/bartizan/bin/bartizan"
    assert words[1] == {"ExecStart": "run", "ExecReload": "reload"}[setting]
    command = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    context = command.make_context(words[1], words[2:], resilient_parsing=False)
    assert str(context.params["policy"]) == "/etc/bartizan/gateway.yaml"
    assert str(context.params["state"]) == "/var/lib/bartizan"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("StateDirectory", "bartizan"),
        ("AmbientCapabilities", "CAP_NET_BIND_SERVICE"),
        ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"),
    ],
)
def test_it_is_hardened(key: str, value: str) -> None:
    assert values(key) == [value]


def test_it_leaves_luajit_its_machine_code() -> None:
    assert values("MemoryDenyWriteExecute") == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_it(tmp_path: Path) -> None:
    # The command need not be installed where the tests run: any program stands in for it.
    copy = tmp_path / UNIT.name
    copy.write_text(
        UNIT.read_text(encoding="utf-8").replace("/opt/bartizan/bin/bartizan", "/bin/true"), "utf-8"
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, said) == (0, [])
