"""State folders and running processes of the token service."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import update

from tokendealer.database import SecretRow, open_engine
from tokendealer.settings import Algorithm
from tokendealer.state import StateFolder

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60

API = "https://api.example/v1"
ODD_ID = "odd:client@example"
ODD_SECRET = "a:b+c d%25%41 ä€&=?\\\"'"
"""What no client is given but what RFC 6749 section 2.3.1 has to carry: each character of it is encoded."""


@dataclass(frozen=True)
class Registered:
    """A client of a prepared state folder."""

    client_id: str
    secret: str


@dataclass(frozen=True)
class Prepared:
    """A state folder with a key and clients: `demo`, `reader`, `several`, `bare`, `gone`, an odd one."""

    path: Path
    clients: MappingProxyType[str, Registered]


async def _register(folder: StateFolder) -> dict[str, Registered]:
    registered: dict[str, Registered] = {}
    async with folder.open() as state:
        for client_id, scopes, audiences in (
            ("reader", ["users:read"], ["data"]),
            ("several", ["users:read", "users:write"], ["data", API]),
            ("bare", [], ["data"]),
            ("gone", ["users:read"], ["data"]),
            (ODD_ID, ["users:read"], ["data"]),
        ):
            registered[client_id] = Registered(
                client_id, await state.clients.add(client_id, scopes, audiences)
            )
        await state.clients.disable("gone")
        odd = update(SecretRow).where(SecretRow.client_id == ODD_ID)
        async with state.engine.begin() as connection:
            await connection.execute(odd.values(digest=state.hasher.digest(ODD_ID, ODD_SECRET)))
        registered[ODD_ID] = Registered(ODD_ID, ODD_SECRET)
    demo = folder.read_demo_client()
    registered["demo"] = Registered(demo["client_id"], demo["client_secret"])
    return registered


def prepare_state(path: Path, algorithm: Algorithm = "EdDSA") -> Prepared:
    """Make a state folder; not from within an event loop."""

    async def work() -> dict[str, Registered]:
        folder = StateFolder(path)
        await folder.initialise(algorithm, demo=True)
        clients = await _register(folder)
        # Everything into the main file, so that a copy of the folder is whole.
        engine = open_engine(folder.database)
        async with engine.connect() as connection:
            await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        await engine.dispose()
        return clients

    return Prepared(path, MappingProxyType(asyncio.run(work())))


@dataclass
class Serving:
    """A running `tokendealer serve`."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def follow(self) -> None:
        """Take in the log until the process ends."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def url(self) -> str:
        """Where it answers."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for line in list(self.lines):
                found = re.search(r'"url": "([^"]+)"', line)
                if found:
                    return found[1]
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the token service did not start: {self.lines}")

    def log(self) -> str:
        """Return what it has logged so far."""
        return "".join(self.lines)

    def stop(self, seconds: float = 20) -> int:
        """Stop it as Ctrl-C does.

        Returns:
            Its exit code.
        """
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(seconds)


@contextmanager
def serving(state: Path, *options: str) -> Iterator[Serving]:
    """Run `tokendealer serve` on a free port until the context ends; an error in its log fails the test."""
    command = [
        sys.executable,
        "-m",
        "tokendealer",
        "serve",
        "--state",
        str(state),
        "--port",
        "0",
        "--log",
        "json",
    ]
    process = subprocess.Popen([*command, *options], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    running = Serving(process)
    assert process.stderr is not None
    reader = threading.Thread(target=running.follow)
    reader.start()
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
            reader.join()
            process.stderr.close()
    unexpected = [
        line for line in running.lines if '"level": "info"' not in line and '"level": "warning"' not in line
    ]
    assert not unexpected, unexpected
