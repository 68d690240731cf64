"""The SQLite database: opening it, making its tables, and the users it begins with."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from upstream.users.model import Base, User
from upstream.users.schemas import NewUser
from upstream.users.store import UserStore

# One of them leads to a place on the default list of safe redirects, one does not, and one would like to be
# markup.
SAMPLE_USERS = (
    NewUser(
        name="Ada Lovelace",
        email="ada@example.org",
        location="London",
        website="https://github.com/",
        about="Wrote the first program, for a machine that was never built.",
    ),
    NewUser(
        name="Grace Hopper",
        email="grace@example.org",
        location="New York",
        website="https://example.com/grace",
        about="Found the bug.",
    ),
    NewUser(
        name="Reginald Jeeves",
        email="jeeves@example.org",
        location="Berkeley Mansions",
        about="A gentleman's <b>personal</b> gentleman. <script>alert('no')</script>",
    ),
)


class NotInitialisedError(Exception):
    """There is no usable database in the state folder."""


def open_engine(database: Path) -> AsyncEngine:
    """Open a database file; nothing is read before the first query."""
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(database)))

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        # Readers go on while one writes, and a second writer waits instead of failing at once.
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA busy_timeout = 5000")
        cursor.close()

    return engine


def sessions_of(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Return the maker of sessions; rows stay readable after their session has ended."""
    return async_sessionmaker(engine, expire_on_commit=False)


def make_file(database: Path) -> None:
    """Make an empty database file and its folder, unless they are there."""
    database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Made before SQLite would, so that nobody else can read it at any moment; -wal and -shm take its mode.
    database.touch(mode=0o600)


async def initialise(database: Path) -> int:
    """Make the tables, and fill an empty database with the sample users.

    Returns:
        How many users were added: none if there were any already, so a second call changes nothing.
    """
    engine = open_engine(database)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        store = UserStore(sessions_of(engine))
        if await store.list(after=0, limit=1):
            return 0
        for user in SAMPLE_USERS:
            await store.add(user)
        return len(SAMPLE_USERS)
    finally:
        await engine.dispose()


def check(database: Path) -> None:
    """Raise NotInitialisedError unless the database has the tables that the service needs."""
    if not database.is_file():
        raise NotInitialisedError(_advice(database, "does not exist"))
    try:
        # Only for reading, so that looking changes nothing.
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)
        ) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.Error as error:
        raise NotInitialisedError(_advice(database, f"can't be read ({error})")) from error
    if (User.__tablename__,) not in tables:
        raise NotInitialisedError(_advice(database, "has no table of users"))


def _advice(database: Path, what: str) -> str:
    return f"{database} {what}; make it with: upstream init --state {database.parent}"
