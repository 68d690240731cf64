"""The clients as the running service sees them: a picture of the registry in memory.

Every token request looks a client up, and whether it exists must not show in the time that takes. So the
whole registry is held in memory (some hundred bytes a client) and follows the database: twice a second it
reads what has changed since the last time it looked, which costs one indexed query, whoever made the change.
If the database can't be read the picture goes stale, and a stale picture is not served from: a client that
was disabled must not live on because a disk broke.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from tokendealer.clients import Client
from tokendealer.database import ClientRow, SecretRow
from tokendealer.rfc6749.errors import OAuthError, PublicError

REFRESH_SECONDS = 0.5
STALE_SECONDS = 5.0


class ClientDirectory:
    """The picture of the registry."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._clients: dict[str, Client] = {}
        self._revision = 0
        self._read_at: float | None = None
        # Thousands of clients share a few sets of scopes: each set is held once.
        self._shared: dict[tuple[str, ...], tuple[str, ...]] = {}

    @property
    def fresh(self) -> bool:
        """Whether the picture is recent enough to be served from."""
        return self._read_at is not None and time.monotonic() - self._read_at < STALE_SECONDS

    def get(self, client_id: str) -> Client | None:
        """Return the client, or None if there is none of that name.

        Raises:
            OAuthError: The picture is stale.
        """
        if not self.fresh:
            raise OAuthError(PublicError.UNAVAILABLE, "the client registry cannot be read")
        return self._clients.get(client_id)

    def __len__(self) -> int:
        return len(self._clients)

    async def refresh(self) -> None:
        """Read what has changed since the last time.

        Raises:
            SQLAlchemyError: The database cannot be read.
        """
        # Taken before the query: what is committed while it runs may be missing from its answer.
        asked_at = time.monotonic()
        query = (
            select(
                ClientRow.client_id,
                ClientRow.scopes,
                ClientRow.audiences,
                ClientRow.disabled_at,
                ClientRow.revision,
                SecretRow.digest,
            )
            .join(SecretRow, SecretRow.client_id == ClientRow.client_id, isouter=True)
            .where(ClientRow.revision > self._revision)
            .order_by(ClientRow.revision)
        )
        changed: dict[str, Client] = {}
        revision = self._revision
        async with self._engine.connect() as connection:
            rows = await connection.execute(query)
            for client_id, scopes, audiences, disabled_at, revision, digest in rows:  # noqa: B007  the last one
                earlier = changed.get(client_id)
                digests = earlier.digests if earlier is not None else ()
                changed[client_id] = Client(
                    client_id,
                    self._share(scopes),
                    self._share(audiences),
                    digests if digest is None else (*digests, digest),
                    disabled_at is not None,
                )
        self._clients.update(changed)
        self._revision = revision
        self._read_at = asked_at

    def _share(self, names: list[str]) -> tuple[str, ...]:
        key = tuple(names)
        return self._shared.setdefault(key, key)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Keep the picture up to date while the context lasts.

        Raises:
            SQLAlchemyError: The first reading failed.
        """
        await self.refresh()
        task = asyncio.create_task(self._follow(), name="follow the client registry")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        log: Any = structlog.get_logger("tokendealer")
        failing = False
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except Exception:  # whatever it is: the picture must not go stale in silence
                if not failing:
                    log.exception("client_registry_unreadable")
                failing = True
            else:
                if failing:
                    log.info("client_registry_readable_again")
                failing = False
