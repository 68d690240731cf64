"""A database without a service."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tokendealer.client_secrets import SecretHasher
from tokendealer.client_store import ClientStore
from tokendealer.database import migrate, open_engine


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "empty.sqlite3"
    assert migrate(path)
    return path


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated, tmp_path / "tokendealer.sqlite3"))


@pytest.fixture
async def engine(database: Path) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(database)
    yield opened
    await opened.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> ClientStore:
    return ClientStore(engine, SecretHasher(bytes(32)))
