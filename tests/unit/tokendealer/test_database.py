"""The schema and its migrations."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from tokendealer import database as module
from tokendealer.database import Base, is_current, migrate


def test_the_migrations_make_the_tables_of_the_models(database: Path) -> None:
    engine = create_engine(f"sqlite:///{database}", poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == {*Base.metadata.tables, "alembic_version"}


def test_migrating_twice_changes_nothing(database: Path) -> None:
    assert is_current(database)
    assert migrate(database) is False


def test_a_fresh_file_is_not_current(tmp_path: Path) -> None:
    path = tmp_path / "fresh.sqlite3"
    path.touch()
    assert not is_current(path)


def test_every_step_can_be_taken_back(database: Path) -> None:
    config = module._config()
    engine = create_engine(f"sqlite:///{database}", poolclass=NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    assert not is_current(database)
    assert migrate(database)
    assert is_current(database)


async def test_the_database_is_set_up_for_several_processes(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        for pragma, value in (
            ("journal_mode", "wal"),
            ("busy_timeout", 5000),
            ("foreign_keys", 1),
            ("synchronous", 2),
        ):
            assert (await connection.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value


async def test_an_error_shows_no_parameters(engine: AsyncEngine) -> None:
    statement = text("INSERT INTO client_secrets (client_id, digest, created_at) VALUES (:who, :digest, 0)")
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError) as failed:
            await connection.execute(statement, {"who": "nobody", "digest": b"the-digest"})
    assert "the-digest" not in str(failed.value)
