"""What the two token services have in common: they are asked for tokens, and are one Python process each."""

import subprocess
import sys
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from load.bench.peers.target import Target
from load.bench.processes import NotStartedError, Process
from load.bench.traffic import Load, Request
from tests.support.ports import free_port

ROOT: Final = Path(__file__).resolve().parents[3]
PATIENCE: Final = 30.0


class TokenService(Target):
    """A token service on a free port."""

    def __init__(self, folder: Path, form: dict[str, str], *arguments: str | Path) -> None:
        """Start it and wait until it listens.

        Args:
            folder: for its log.
            form: what it is asked with.
            arguments: of Python; `--port` is added.
        """
        self.form = {"grant_type": "client_credentials", "audience": "data", **form}
        self._port = free_port()
        command = [sys.executable, *arguments, "--port", str(self._port)]
        self._process = Process(command, folder / "service.log", cwd=ROOT)
        self._process.wait_for_port(self._port)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def worker_pids(self) -> list[int]:
        """Return its one process."""
        return [self._process.pid]

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()

    def load(self, folder: Path) -> Load:
        """Return the request for a token."""
        headers = (
            ("Host", f"127.0.0.1:{self._port}"),
            ("User-Agent", "bench/1.0"),
            ("Accept", "*/*"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        )
        return Load.written(Request("/oauth/token", headers, "POST", urlencode(self.form)), folder)

    def check(self) -> None:
        """Look at one token of it: a bad one is quickly made."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = httpx.post(f"{self.url}/oauth/token", data=self.form)
                break
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        assert answer.status_code == 200, f"a request for a token gets {answer.status_code}: {answer.text}"
        self.verify(answer.json()["access_token"])

    @abstractmethod
    def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a token; raise if its signature or its audience is not right."""


def tokendealer(*arguments: str | Path) -> str:
    """Run the token service's command to its end and return what it prints."""
    done = subprocess.run(  # noqa: S603 (our own)
        [sys.executable, "-m", "tokendealer", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise NotStartedError(f"tokendealer {arguments[0]}: {done.stderr}")
    return done.stdout
