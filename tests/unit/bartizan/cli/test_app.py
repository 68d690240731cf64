"""The commands, as far as they need no nginx of their own."""

import signal
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bartizan.cli import app as cli
from bartizan.cli.app import app, main

ROOT = Path(__file__).parents[4]
COMMANDS = ["check", "render", "run", "reload", "explain", "certificate", "schema"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Command":
    return Command(monkeypatch, capsys)


class Command:
    """Runs `bartizan` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Return the exit code, stdout and stderr."""
        self._monkeypatch.setattr(sys, "argv", ["bartizan", *map(str, arguments)])
        self._monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err


def test_the_version(command: Command) -> None:
    code, out, _ = command("--version")
    assert code == 0
    assert out.startswith("bartizan 0.")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches_with_an_example(command: Command, name: str) -> None:
    code, out, _ = command(name, "--help")
    assert code == 0
    assert "Example" in out
    assert f"bartizan {name}" in out


def test_the_help_lists_every_command(command: Command) -> None:
    code, out, _ = command("--help")
    assert code == 0
    assert all(f" {name} " in out for name in COMMANDS)


def test_no_command_is_help() -> None:
    assert "Commands" in CliRunner().invoke(app, []).output


@pytest.mark.parametrize("name", ["check", "render", "run", "reload", "certificate"])
def test_a_bad_policy_is_told_and_nothing_is_done(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    policy = tmp_path / "gateway.yaml"
    policy.write_text("upstreams: {}\nroutes:\n  - {path: a}\n", encoding="utf-8")
    monkeypatch.setenv("BARTIZAN_STATE", str(tmp_path / "state"))
    code, out, err = command(name, policy)
    assert (code, out) == (1, "")
    assert f"{policy}:3: routes[0].path: 'a' does not begin with /; write /a\n" in err
    assert err.endswith(f"bartizan: {policy}: 4 mistakes\n")
    assert not (tmp_path / "state").exists()


def test_a_run_that_ends_leaves_signals_as_they_were(command: Command, tmp_path: Path) -> None:
    """Programs that the caller starts later would inherit what it blocked, and could not be stopped."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert command("run", tmp_path / "none.yaml", "--state", tmp_path / "state")[0] == 1
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_one_mistake_is_one(command: Command, tmp_path: Path) -> None:
    assert command("explain", "GET", "/", "--policy", tmp_path / "none.yaml")[2].endswith(": 1 mistake\n")


def test_two_policies_are_one_too_many(command: Command) -> None:
    code, _, err = command("check", "a.yaml", "--policy", "b.yaml")
    assert code == 2
    assert "two policy files are named: a.yaml and b.yaml; name one" in err


def test_no_gateway_to_reload(command: Command, tmp_path: Path) -> None:
    code, _, err = command("reload", ROOT / "gateway.yaml", "--state", tmp_path)
    assert code == 1
    assert err == f"bartizan: no gateway runs with the state folder {tmp_path}; start one with bartizan run\n"


def test_an_nginx_that_is_none(command: Command, tmp_path: Path) -> None:
    code, _, err = command(
        "run", ROOT / "gateway.yaml", "--state", tmp_path / "var", "--nginx", "/nowhere/nginx"
    )
    assert code == 1
    assert err.startswith("bartizan: /nowhere/nginx is not a program that can be run")
    assert not (tmp_path / "var").exists()


def test_explain_shows_lines(command: Command) -> None:
    code, out, _ = command("explain", "get", "/api/users/7", "--policy", ROOT / "gateway.yaml")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "routes[3] takes it: GET /api/users/*"
    number = int(lines[1].rpartition(":")[2])
    text = (ROOT / "gateway.yaml").read_text(encoding="utf-8").splitlines()
    assert "prefix: /api/users" in text[number - 1]
    (limit,) = [line for line in lines if "200/s" in line]
    number = int(limit.rpartition("line ")[2].rstrip(") "))
    assert "rate: {limit: 200/s" in text[number - 1]


def test_explain_of_a_refusal_is_one_line(command: Command) -> None:
    code, out, _ = command("explain", "DELETE", "/api/users", "--policy", ROOT / "gateway.yaml")
    assert (code, len(out.splitlines())) == (0, 1)


def test_certificate_says_whom_to_trust(command: Command, tmp_path: Path) -> None:
    made = command("certificate", ROOT / "gateway.yaml", "--state", tmp_path)
    assert made[1] == f"bartizan: made: {tmp_path}/tls/server.pem; trust {tmp_path}/tls/ca.pem\n"
    assert "still good" in command("certificate", ROOT / "gateway.yaml", "--state", tmp_path)[1]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "can't write to the disk: no space left on device"),
        (PermissionError(13, "Permission denied", "/a/b"), "/a/b can't be used: permission denied"),
    ],
)
def test_what_the_system_does_not_let_it_do_is_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "_compile_rules", lambda *_: None)
    monkeypatch.setattr(cli, "new_generation", fail)
    assert command("check", ROOT / "gateway.yaml") == (1, "", f"bartizan: {said}\n")


def test_taken_ports_are_all_told(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_compile_rules", lambda *_: None)
    monkeypatch.setattr(cli, "busy", lambda *_, **__: iter(["port 1 is taken", "port 2 is taken"]))
    monkeypatch.setattr(cli, "new_generation", lambda *_: tmp_path)
    assert command("check", ROOT / "gateway.yaml")[0] == 0
    code, out, err = command("check", ROOT / "gateway.yaml", "--ports-free")
    assert (code, out, err) == (1, "", "bartizan: port 1 is taken\nbartizan: port 2 is taken\n")
