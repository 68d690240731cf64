"""The command: what it makes, and the one sentence that each mistake gets."""

import socket
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from upstream.cli import app


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def sentence_of(result: Result) -> str:
    """Return the one line of a failure."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("upstream: ")
    return result.stderr


@pytest.fixture
def state(tmp_path: Path) -> Path:
    assert run("init", "--state", tmp_path / "state").exit_code == 0
    return tmp_path / "state"


def test_init_is_idempotent_and_lets_nobody_else_read(tmp_path: Path) -> None:
    state = tmp_path / "a" / "state"
    first, second = run("init", "--state", state), run("init", "--state", state)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "with 3 sample users" in first.stdout
    assert "nothing was changed" in second.stdout
    assert [path.stat().st_mode & 0o077 for path in (state, *state.iterdir())] == [0, 0]


MISTAKES = [
    (["--host", "0.0.0.0"], "upstream listens on loopback only, not on 0.0.0.0"),
    (["--host", "example.org"], "'example.org' is not an address to listen on"),
    (["--jwks", "ftp://x"], "--jwks: Value error, an http:// or https:// URL is needed, not 'ftp://x'"),
    (["--issuer", ""], "--issuer: String should have at least 1 character"),
    (["--audience", ""], "--audience: String should have at least 1 character"),
    (["--safe-redirect", "github.com"], "--safe-redirect: 'github.com' is not an origin; write it as"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(case[0]) for case in MISTAKES])
def test_a_mistake_is_one_clear_sentence(state: Path, arguments: list[str], said: str) -> None:
    assert said in sentence_of(run("serve", "--port", "0", "--state", state, *arguments))


def test_says_that_the_port_is_taken(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} on 127.0.0.1 is taken" in sentence_of(
            run("serve", "--port", str(port), "--state", state)
        )


@pytest.mark.parametrize("content", [None, b"", b"this is no database, whatever its name says" * 50])
def test_says_how_to_make_a_database(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "users.sqlite3").write_bytes(content)
    said = sentence_of(run("serve", "--port", "0", "--state", tmp_path))
    assert f"make it with: upstream init --state {tmp_path}" in said


def test_says_that_the_state_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert f"can't make {tmp_path}/state" in sentence_of(run("init", "--state", tmp_path / "state"))


def test_says_that_the_database_is_none(tmp_path: Path) -> None:
    (tmp_path / "users.sqlite3").write_bytes(b"this is no database, whatever its name says" * 50)
    assert "users.sqlite3: file is not a database" in sentence_of(run("init", "--state", tmp_path))


def test_help_tells_what_there_is() -> None:
    helped = run("--help")
    assert helped.exit_code == 0
    for word in ("init", "serve"):
        assert word in helped.stdout
