"""The database: its tables, its engine and its migrations.

SQLite in write-ahead mode: several processes may serve and write on one file at once, readers never wait, and
a writer waits for another up to the busy time-out. The migrations (Alembic) are package data and are run by
`tokendealer init`; a service that meets an older or newer schema refuses to start.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, URL, ForeignKey, LargeBinary, String, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

BUSY_MS = 5000
"""How long a writer waits for another process's transaction."""

# FULL: a committed change of a client survives a power cut; there are few of them. FOREIGN_KEYS is off by
# default.
_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)


class Base(DeclarativeBase):
    """The tables; `migrations/` is what makes them."""


class ClientRow(Base):
    """A registered client.

    Attributes:
        client_id: Its name.
        scopes: What it may ask for.
        audiences: For which services.
        created_at: Unix time.
        disabled_at: Unix time; None while it is enabled.
        revision: Rises with every change of any client; readers ask for what is above the last one they saw.
    """

    __tablename__ = "clients"

    client_id: Mapped[str] = mapped_column(String, primary_key=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    audiences: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[int]
    disabled_at: Mapped[int | None]
    revision: Mapped[int] = mapped_column(unique=True)


class SecretRow(Base):
    """The keyed hash of one of a client's secrets."""

    __tablename__ = "client_secrets"

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"), index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[int]


class KeyRow(Base):
    """A signing key; the private key itself is the file `keys/<kid>.pem` of the state folder."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(String, primary_key=True)
    algorithm: Mapped[str]
    created_at: Mapped[int]


def _set_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def open_engine(path: Path) -> AsyncEngine:
    """Return an engine on the database file; parameters (hashes among them) stay out of its errors."""
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)), hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    return engine


def migrate(path: Path) -> bool:
    """Bring the database to the newest schema.

    Returns:
        Whether there was anything to do.
    """
    config = _config()
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    event.listen(engine, "connect", _set_pragmas)
    with engine.connect() as connection:
        before = MigrationContext.configure(connection).get_current_heads()
        if before == _newest():
            return False
        connection.rollback()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return True


def is_current(path: Path) -> bool:
    """Say whether the schema of the database is the one that this version of the program works with."""
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_heads() == _newest()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "tokendealer:migrations")
    return config


def _newest() -> Sequence[str]:
    return tuple(ScriptDirectory.from_config(_config()).get_heads())
