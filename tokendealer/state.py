"""The state folder: where everything is that must survive, and how it comes into being."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tokendealer.client_secrets import PEPPER_BYTES, SecretHasher
from tokendealer.client_store import ClientStore
from tokendealer.database import is_current, migrate, open_engine
from tokendealer.files import read_private, write_private
from tokendealer.key_store import KeyStore
from tokendealer.problems import PersonError
from tokendealer.settings import Algorithm

DEMO_CLIENT = "demo"
DEMO_SCOPES = ("users:read", "users:write")
DEMO_AUDIENCES = ("data",)


@dataclass(frozen=True, slots=True)
class OpenState:
    """The contents of an initialised state folder.

    Attributes:
        engine: The database.
        hasher: How client secrets are hashed.
        clients: Changes of the registry.
        keys: The signing keys.
    """

    engine: AsyncEngine
    hasher: SecretHasher
    clients: ClientStore
    keys: KeyStore


class StateFolder:
    """The folder and the names in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "tokendealer.sqlite3"
        self.keys = path / "keys"
        self.pepper = path / "pepper"
        self.demo_client = path / "demo-client.json"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one `init` at a time."""
        with (self.path / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    async def initialise(self, algorithm: Algorithm, *, demo: bool) -> list[str]:
        """Create what is missing and leave alone what is there.

        Args:
            algorithm: For which there has to be a signing key.
            demo: Whether there has to be a demo client.

        Returns:
            A line for each thing that was created.

        Raises:
            PersonError: The folder cannot be written.
        """
        done: list[str] = []
        try:
            if not self.path.is_dir():
                self.path.mkdir(mode=0o700, parents=True)
                done.append(f"created {self.path}")
            self.keys.mkdir(mode=0o700, exist_ok=True)
            with self.lock():
                if not self.pepper.exists():
                    self._refuse_lost_pepper()
                    write_private(self.pepper, token_bytes(PEPPER_BYTES))
                    done.append(f"created {self.pepper}")
                if not self.database.exists():
                    # SQLite would create it readable by all; its -wal and -shm files take over the mode of
                    # this one.
                    write_private(self.database, b"")
                if migrate(self.database):
                    done.append(f"brought {self.database} to the newest schema")
                async with self.open() as state:
                    if not await state.keys.has(algorithm):
                        key = await state.keys.create(algorithm)
                        done.append(f"created the {algorithm} signing key {key.kid}")
                    if demo and await self._demo(state.clients):
                        done.append(
                            f"registered the client {DEMO_CLIENT}; its credentials are in {self.demo_client}"
                        )
        except OSError as error:
            raise PersonError(f"cannot write {error.filename or self.path}: {error.strerror}") from error
        return done

    def _refuse_lost_pepper(self) -> None:
        # A new pepper would silently make every registered secret wrong.
        if self.database.exists() and self.database.stat().st_size:
            raise PersonError(
                f"{self.pepper} is missing, and without it no secret in {self.database} can be checked: "
                "put it back from a backup, or remove the database to begin anew"
            )

    async def _demo(self, clients: ClientStore) -> bool:
        if self.demo_client.exists():
            known = self.read_demo_client()
            if await clients.holds(known["client_id"], known["client_secret"]):
                return False
        registered = next((entry for entry in await clients.list() if entry.client_id == DEMO_CLIENT), None)
        if registered is not None and registered.disabled_at is not None:
            return False  # someone disabled it; a start of the service is no reason to undo that
        if registered is not None:
            secret = await clients.replace_secret(DEMO_CLIENT)
        else:
            secret = await clients.add(DEMO_CLIENT, DEMO_SCOPES, DEMO_AUDIENCES)
        credentials = {
            "client_id": DEMO_CLIENT,
            "client_secret": secret,
            "scope": " ".join(DEMO_SCOPES),
            "audience": DEMO_AUDIENCES[0],
        }
        write_private(self.demo_client, json.dumps(credentials, indent=2).encode() + b"\n")
        return True

    def read_demo_client(self) -> dict[str, str]:
        """Return the demo client's credentials.

        Raises:
            PersonError: They are not there or not what `init --demo` writes.
        """
        if not self.demo_client.exists():
            raise PersonError(f"there is no {self.demo_client}: run tokendealer init --demo")
        try:
            credentials: Any = json.loads(read_private(self.demo_client))
            names = ("client_id", "client_secret", "scope", "audience")
            return {name: str(credentials[name]) for name in names}
        except (ValueError, LookupError, TypeError) as error:
            raise PersonError(
                f"{self.demo_client} is damaged: remove it and run tokendealer init --demo"
            ) from error

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenState]:
        """Open an initialised folder.

        Raises:
            PersonError: It was never initialised, by another version, or cannot be read.
        """
        self._refuse_uninitialised()
        hasher = self._read_hasher()
        engine = open_engine(self.database)
        try:
            yield OpenState(engine, hasher, ClientStore(engine, hasher), KeyStore(engine, self.keys))
        finally:
            await engine.dispose()

    def _read_hasher(self) -> SecretHasher:
        try:
            return SecretHasher(read_private(self.pepper))
        except ValueError as error:
            raise PersonError(f"{self.pepper} is damaged: {error}") from error

    def _refuse_uninitialised(self) -> None:
        if not self.database.exists():
            raise PersonError(f"there is nothing in {self.path}: run tokendealer init --state {self.path}")
        if not os.access(self.database, os.R_OK | os.W_OK):
            raise PersonError(f"cannot read and write {self.database}: it belongs to another user")
        try:
            current = is_current(self.database)
        except DBAPIError as error:
            raise PersonError(f"{self.database} is not a database: {error.orig}") from error
        if not current:
            raise PersonError(
                f"{self.database} has the schema of another version: run tokendealer init --state {self.path}"
            )
