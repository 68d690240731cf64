"""The `tokendealer` command."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.support.service import Service
from tests.support.tokendealer import Prepared, serving
from tokendealer.cli import app

Command = Callable[..., Result]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command; what it prints is in `stdout` and `stderr`."""
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_init_makes_everything_once(command: Command, tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    first = command("init", "--state", state, "--algorithm", "EdDSA", "--demo")
    assert first.exit_code == 0, first.output
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    kept = {
        path: path.read_bytes()
        for path in state.rglob("*")
        if path.suffix in {".pem", ".json"} or path.name == "pepper"
    }
    assert len(kept) == 3
    assert all(not mode & 0o077 for name, mode in modes(state).items() if name != "lock"), modes(state)

    second = command("init", "--state", state, "--algorithm", "EdDSA", "--demo")
    assert second.stdout == f"{state} is complete; nothing to do\n"
    assert {path: path.read_bytes() for path in kept} == kept


def test_init_adds_what_is_asked_for_later(command: Command, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert "signing key" in command("init", "--state", state, "--algorithm", "EdDSA").stdout
    assert not (state / "demo-client.json").exists()
    added = command("init", "--state", state, "--algorithm", "ES256", "--demo")
    assert "created the ES256 signing key" in added.stdout
    assert "registered the client demo" in added.stdout
    assert len(list((state / "keys").iterdir())) == 2
    credentials = json.loads((state / "demo-client.json").read_text())
    assert credentials["client_id"] == "demo"
    assert (credentials["scope"], credentials["audience"]) == ("users:read users:write", "data")


def test_init_mends_lost_demo_credentials(command: Command, own_state: Prepared) -> None:
    file = own_state.path / "demo-client.json"
    before = json.loads(file.read_text())
    file.unlink()
    assert (
        "registered the client demo"
        in command("init", "--state", own_state.path, "--algorithm", "EdDSA", "--demo").stdout
    )
    assert json.loads(file.read_text())["client_secret"] != before["client_secret"]
    again = command("init", "--state", own_state.path, "--algorithm", "EdDSA", "--demo")
    assert "nothing to do" in again.stdout


def test_init_leaves_a_disabled_demo_client_disabled(command: Command, own_state: Prepared) -> None:
    assert command("clients", "disable", "demo", "--state", own_state.path).exit_code == 0
    again = command("init", "--state", own_state.path, "--algorithm", "EdDSA", "--demo")
    assert "nothing to do" in again.stdout


def test_adding_listing_and_disabling(command: Command, own_state: Prepared) -> None:
    at = ("--state", own_state.path)
    added = command(
        "clients", "add", "report", "--scope", "a", "--scope", "b", "--audience", "data", *at, "--json"
    )
    credentials = json.loads(added.stdout)
    assert set(credentials) == {"client_id", "client_secret"}
    assert len(credentials["client_secret"]) == 43  # 256 bits in base64url

    def entry() -> dict[str, Any]:
        entries = json.loads(command("clients", "list", *at, "--json").stdout)
        (found,) = [entry for entry in entries if entry["client_id"] == "report"]
        assert isinstance(found, dict)
        return found

    assert (entry()["scopes"], entry()["audiences"], entry()["disabled_at"]) == (["a", "b"], ["data"], None)
    assert command("clients", "disable", "report", *at).exit_code == 0
    first = entry()["disabled_at"]
    assert first is not None
    assert command("clients", "disable", "report", *at).exit_code == 0
    assert entry()["disabled_at"] == first
    table = command("clients", "list", *at).stdout
    assert "report" in table
    assert "disabled" in table
    for listing in (table, command("clients", "list", *at, "--json").stdout):
        assert credentials["client_secret"] not in listing


def test_the_secret_is_shown_once_and_kept_nowhere(command: Command, own_state: Prepared) -> None:
    added = command("clients", "add", "report", "--audience", "data", "--state", own_state.path)
    assert added.exit_code == 0
    secret = added.stdout.split()[-1]
    assert added.stdout == f"client_id:     report\nclient_secret: {secret}\n"
    assert "not shown again" in added.stderr
    files = [path.read_bytes() for path in own_state.path.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert not any(secret.encode() in content for content in files)


MISTAKES = {
    "a taken name": (["clients", "add", "reader", "--audience", "data"], "there is already a client reader"),
    "a name with a space": (
        ["clients", "add", "a b", "--audience", "data"],
        "'a b' cannot be a client's name: ",
    ),
    "an empty name": (["clients", "add", "", "--audience", "data"], "'' cannot be a client's name: "),
    "a scope with a space": (
        ["clients", "add", "x", "--audience", "data", "--scope", "a b"],
        "'a b' cannot be a scope: ",
    ),
    "an empty audience": (["clients", "add", "x", "--audience", ""], "'' cannot be an audience: "),
    "disabling nobody": (["clients", "disable", "nobody"], "there is no client nobody"),
    "serving with a bad issuer": (
        ["serve", "--issuer", "https://a/b"],
        "the issuer 'https://a/b' is not an https origin",
    ),
    "serving on a bad port": (
        ["serve", "--port", "70000"],
        "port: Input should be less than or equal to 65535",
    ),
    "serving on another machine": (
        ["serve", "--host", "192.0.2.1", "--port", "0"],
        "cannot listen on 192.0.2.1:0: ",
    ),
    "serving without a key": (["serve", "--port", "0", "--algorithm", "ES256"], "there is no ES256 key in "),
}


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_persons_mistake_is_one_sentence(
    command: Command, own_state: Prepared, arguments: list[str], sentence: str
) -> None:
    result = command(*arguments, "--state", own_state.path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"tokendealer: {sentence}")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["clients", "list"], ["token"], ["serve", "--port", "0"]])
def test_a_folder_that_was_never_initialised(command: Command, tmp_path: Path, arguments: list[str]) -> None:
    result = command(*arguments, "--state", tmp_path / "none")
    assert result.exit_code == 1
    assert result.stderr.startswith("tokendealer: there is no")
    assert "run tokendealer init" in result.stderr
    assert not (tmp_path / "none").exists()


def _readable_key(state: Path) -> None:
    next((state / "keys").iterdir()).chmod(0o640)


def _lost_key(state: Path) -> None:
    next((state / "keys").iterdir()).unlink()


def _damaged_key(state: Path) -> None:
    next((state / "keys").iterdir()).write_text("no key")


def _lost_pepper(state: Path) -> None:
    (state / "pepper").unlink()


def _short_pepper(state: Path) -> None:
    (state / "pepper").write_bytes(b"short")


def _damaged_database(state: Path) -> None:
    (state / "tokendealer.sqlite3").write_bytes(b"no database" * 1000)


def _empty_database(state: Path) -> None:
    (state / "tokendealer.sqlite3").write_bytes(b"")


DAMAGES = {
    "can be read by others (mode 0640): chmod 600": _readable_key,
    "keys/": _lost_key,
    "is not a private key for EdDSA": _damaged_key,
    "pepper: No such file": _lost_pepper,
    "the pepper has 5 bytes instead of 32": _short_pepper,
    "is not a database": _damaged_database,
    "has the schema of another version: run tokendealer init": _empty_database,
}


@pytest.mark.parametrize(("sentence", "damage"), DAMAGES.items(), ids=[f.__name__ for f in DAMAGES.values()])
def test_a_damaged_folder_is_one_sentence(
    command: Command, own_state: Prepared, sentence: str, damage: Callable[[Path], None]
) -> None:
    damage(own_state.path)
    result = command("serve", "--port", "0", "--algorithm", "EdDSA", "--state", own_state.path)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_database_that_fails_later_is_one_sentence(command: Command, own_state: Prepared) -> None:
    with sqlite3.connect(own_state.path / "tokendealer.sqlite3") as connection:
        connection.execute("DROP TABLE client_secrets")
    connection.close()
    for arguments in (
        ["serve", "--port", "0", "--algorithm", "EdDSA"],
        ["clients", "add", "x", "--audience", "data"],
    ):
        result = command(*arguments, "--state", own_state.path)
        assert result.exit_code == 1
        assert result.stderr == "tokendealer: the database fails: no such table: client_secrets\n"


def test_a_folder_that_cannot_be_made_is_one_sentence(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = command("init", "--state", tmp_path / "file" / "state")
    assert result.exit_code == 1
    assert result.stderr == f"tokendealer: cannot write {tmp_path}/file/state: Not a directory\n"


def test_init_does_not_replace_a_lost_pepper(command: Command, own_state: Prepared) -> None:
    _lost_pepper(own_state.path)
    result = command("init", "--algorithm", "EdDSA", "--state", own_state.path)
    assert result.exit_code == 1
    assert "put it back from a backup" in result.stderr
    assert not (own_state.path / "pepper").exists()


@pytest.fixture(scope="module")
def running(prepared: Prepared) -> Iterator[Service]:
    with serving(prepared.path) as process:
        yield process


def test_token_prints_a_token_and_nothing_else(
    command: Command, prepared: Prepared, running: Service
) -> None:
    result = command("token", "--state", prepared.path, "--url", running.url)
    assert result.exit_code == 0, result.output
    token = result.stdout.removesuffix("\n")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["client_id"], claims["scope"]) == ("demo", "users:read users:write")
    assert result.stderr == ""


def test_token_can_ask_for_less(command: Command, prepared: Prepared, running: Service) -> None:
    result = command("token", "--state", prepared.path, "--url", running.url + "/", "--scope", "users:read")
    assert jwt.decode(result.stdout.strip(), options={"verify_signature": False})["scope"] == "users:read"


def test_token_tells_of_a_refusal(command: Command, prepared: Prepared, running: Service) -> None:
    result = command("token", "--state", prepared.path, "--url", running.url, "--scope", "everything")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"tokendealer: {running.url}/oauth/token refuses with 400: The scope is malformed"
    )
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [[], ["clients"]])
def test_without_a_command_it_teaches(command: Command, arguments: list[str]) -> None:
    result = command(*arguments)
    assert "Usage: tokendealer" in result.output or "Usage: root" in result.output
    assert "Commands" in result.output
