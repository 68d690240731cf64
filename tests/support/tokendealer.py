"""State folders of the token service, and the service as a process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import update

from tests.support.service import Service
from tokendealer.database import SecretRow, open_engine
from tokendealer.settings import Algorithm
from tokendealer.state import StateFolder

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


def serving(state: Path, *options: str) -> Service:
    """Return a `tokendealer serve` that runs on a free port; use it as a context."""
    command = ("serve", "--state", state, "--port", "0", "--log", "json", "--algorithm", "EdDSA")
    return Service("tokendealer", *command, *options)
