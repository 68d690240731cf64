"""The picture of the registry follows the database, and is not served from when it cannot."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.waiting import until
from tokendealer import client_directory
from tokendealer.client_directory import ClientDirectory
from tokendealer.client_secrets import SecretHasher
from tokendealer.client_store import ClientStore
from tokendealer.database import open_engine
from tokendealer.problems import PersonError
from tokendealer.rfc6749.errors import OAuthError, PublicError


async def test_changes_are_read_in_steps(engine: AsyncEngine, store: ClientStore) -> None:
    directory = ClientDirectory(engine)
    await directory.refresh()
    assert len(directory) == 0
    assert directory.get("one") is None

    await store.add("one", ["a", "b"], ["data"])
    await store.add("two", [], ["data"])
    await directory.refresh()
    one, two = directory.get("one"), directory.get("two")
    assert one is not None
    assert two is not None
    assert (one.scopes, one.audiences, one.disabled, len(one.digests)) == (("a", "b"), ("data",), False, 1)
    assert one.audiences is two.audiences

    await store.disable("one")
    secret = await store.replace_secret("two")
    await directory.refresh()
    changed, renewed = directory.get("one"), directory.get("two")
    assert changed is not None
    assert changed.disabled
    assert renewed is not None
    assert renewed.digests == (SecretHasher(bytes(32)).digest("two", secret),)
    assert len(directory) == 2


async def test_several_secrets_of_one_client(engine: AsyncEngine, store: ClientStore) -> None:
    await store.add("one", [], ["data"])
    async with engine.begin() as connection:
        for number in (1, 2):
            insert = "INSERT INTO client_secrets (client_id, digest, created_at) VALUES ('one', :digest, 0)"
            await connection.execute(text(insert), {"digest": bytes([number] * 32)})
        await connection.execute(text("DELETE FROM client_secrets WHERE id = 1"))
    directory = ClientDirectory(engine)
    await directory.refresh()
    client = directory.get("one")
    assert client is not None
    assert set(client.digests) == {bytes([1] * 32), bytes([2] * 32)}


async def test_a_client_without_a_secret(engine: AsyncEngine, store: ClientStore) -> None:
    await store.add("one", [], ["data"])
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM client_secrets"))
    directory = ClientDirectory(engine)
    await directory.refresh()
    client = directory.get("one")
    assert client is not None
    assert client.digests == ()


async def test_it_follows_by_itself(
    engine: AsyncEngine, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_directory, "REFRESH_SECONDS", 0.01)
    other = open_engine(database)  # as another process has one
    store = ClientStore(other, SecretHasher(bytes(32)))
    directory = ClientDirectory(engine)
    async with directory.following():
        await store.add("one", [], ["data"])
        await until(lambda: directory.get("one"))
        await store.disable("one")
        await until(lambda: getattr(directory.get("one"), "disabled", False))
    await other.dispose()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "follow the client registry"]


async def test_a_picture_that_was_never_taken_is_not_served(engine: AsyncEngine) -> None:
    with pytest.raises(OAuthError) as refused:
        ClientDirectory(engine).get("one")
    assert refused.value.public is PublicError.UNAVAILABLE


@pytest.mark.parametrize(
    "error", [OperationalError("SELECT", {}, Exception("disk I/O error")), ValueError("not JSON")], ids=repr
)
async def test_a_database_that_breaks_and_mends(
    engine: AsyncEngine, store: ClientStore, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(client_directory, "REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(client_directory, "STALE_SECONDS", 0.5)
    await store.add("one", [], ["data"])
    directory = ClientDirectory(engine)
    refresh = ClientDirectory.refresh

    async def fail(_directory: ClientDirectory) -> None:
        raise error

    with structlog.testing.capture_logs() as events:
        async with directory.following():
            assert directory.fresh
            monkeypatch.setattr(ClientDirectory, "refresh", fail)
            await until(lambda: not directory.fresh)
            monkeypatch.setattr(ClientDirectory, "refresh", refresh)
            await until(lambda: directory.fresh and len(events) == 2)
            assert directory.get("one")
    assert [(event["event"], event["log_level"]) for event in events] == [
        ("client_registry_unreadable", "error"),
        ("client_registry_readable_again", "info"),
    ]


async def test_changes_of_two_writers_get_two_numbers(engine: AsyncEngine, database: Path) -> None:
    other = open_engine(database)
    stores = [ClientStore(each, SecretHasher(bytes(32))) for each in (engine, other)]
    await asyncio.gather(*(stores[number % 2].add(f"client-{number}", [], ["data"]) for number in range(20)))
    async with engine.connect() as connection:
        rows: Any = await connection.execute(text("SELECT revision FROM clients ORDER BY revision"))
        assert [revision for (revision,) in rows] == list(range(1, 21))
    await other.dispose()


async def test_a_change_of_nobody(store: ClientStore) -> None:
    for change in (store.disable("nobody"), store.replace_secret("nobody")):
        with pytest.raises(PersonError, match="there is no client nobody"):
            await change


async def test_a_secret_is_held_by_its_enabled_client(store: ClientStore) -> None:
    secret = await store.add("one", [], ["data"])
    assert await store.holds("one", secret)
    assert not await store.holds("one", secret + "x")
    assert not await store.holds("two", secret)
    await store.disable("one")
    assert not await store.holds("one", secret)


async def test_double_entries_are_kept_once(store: ClientStore) -> None:
    await store.add("one", ["b", "a", "b"], ["data", "data"])
    (entry,) = await store.list()
    assert (entry.scopes, entry.audiences) == (["b", "a"], ["data"])
