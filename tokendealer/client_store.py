"""Changes of the client registry, as the command makes them. Running services follow within a second."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.selectable import ScalarSelect

from tokendealer.client_secrets import SecretHasher, generate_secret
from tokendealer.clients import CLIENT_ID
from tokendealer.database import ClientRow, SecretRow
from tokendealer.problems import PersonError
from tokendealer.rfc6749.scope import SCOPE_NAME


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """What may be shown of a client: everything but its secrets."""

    client_id: str
    scopes: list[str]
    audiences: list[str]
    created_at: int
    disabled_at: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a JSON object."""
        return asdict(self)


class ClientStore:
    """Writes the client registry."""

    def __init__(self, engine: AsyncEngine, hasher: SecretHasher) -> None:
        self._engine = engine
        self._hasher = hasher

    async def add(self, client_id: str, scopes: Sequence[str], audiences: Sequence[str]) -> str:
        """Register a client.

        Returns:
            Its secret, which is kept nowhere else.

        Raises:
            PersonError: The name is taken or malformed, a scope is malformed, or there is no audience.
        """
        _check(client_id, scopes, audiences)
        row = {
            "client_id": client_id,
            "scopes": list(dict.fromkeys(scopes)),
            "audiences": list(dict.fromkeys(audiences)),
            "created_at": int(time.time()),
            "revision": _next_revision(),
        }
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(ClientRow).values(row))
                return await self._add_secret(connection, client_id)
        except IntegrityError as error:
            raise PersonError(f"there is already a client {client_id}") from error

    async def replace_secret(self, client_id: str) -> str:
        """Give a client a new secret in place of those it has.

        Returns:
            The secret, which is kept nowhere else.

        Raises:
            PersonError: There is no such client.
        """
        async with self._engine.begin() as connection:
            await self._touch(connection, client_id)
            await connection.execute(delete(SecretRow).where(SecretRow.client_id == client_id))
            return await self._add_secret(connection, client_id)

    async def disable(self, client_id: str) -> None:
        """Stop a client from getting tokens.

        Raises:
            PersonError: There is no such client.
        """
        async with self._engine.begin() as connection:
            await self._touch(
                connection, client_id, disabled_at=func.coalesce(ClientRow.disabled_at, int(time.time()))
            )

    async def list(self) -> list[ClientEntry]:
        """Return all clients by name."""
        query = select(
            ClientRow.client_id,
            ClientRow.scopes,
            ClientRow.audiences,
            ClientRow.created_at,
            ClientRow.disabled_at,
        ).order_by(ClientRow.client_id)
        async with self._engine.connect() as connection:
            return [ClientEntry(*row) for row in await connection.execute(query)]

    async def holds(self, client_id: str, secret: str) -> bool:
        """Say whether an enabled client has this secret."""
        query = (
            select(func.count())
            .select_from(SecretRow)
            .join(ClientRow)
            .where(
                ClientRow.client_id == client_id,
                ClientRow.disabled_at.is_(None),
                SecretRow.digest == self._hasher.digest(client_id, secret),
            )
        )
        async with self._engine.connect() as connection:
            return bool((await connection.execute(query)).scalar_one())

    async def _add_secret(self, connection: AsyncConnection, client_id: str) -> str:
        secret = generate_secret()
        row = {
            "client_id": client_id,
            "digest": self._hasher.digest(client_id, secret),
            "created_at": int(time.time()),
        }
        await connection.execute(insert(SecretRow).values(row))
        return secret

    async def _touch(self, connection: AsyncConnection, client_id: str, **values: Any) -> None:
        result = await connection.execute(
            update(ClientRow)
            .where(ClientRow.client_id == client_id)
            .values(revision=_next_revision(), **values)
        )
        if result.rowcount != 1:
            raise PersonError(f"there is no client {client_id}")


def _next_revision() -> ScalarSelect[int]:
    # Part of the statement that writes, which takes SQLite's write lock before it reads: no two changes can
    # draw the same number, and a reader that has seen number n has seen all before it.
    return select(func.coalesce(func.max(ClientRow.revision), 0) + 1).scalar_subquery()


def _check(client_id: str, scopes: Sequence[str], audiences: Sequence[str]) -> None:
    if not re.fullmatch(CLIENT_ID, client_id):
        raise PersonError(
            f"{client_id!r} cannot be a client's name: up to 100 of the letters, digits and . _ : @ - "
            "and the first a letter or digit"
        )
    for scope in scopes:
        if not re.fullmatch(SCOPE_NAME, scope):
            raise PersonError(f'{scope!r} cannot be a scope: printable ASCII without space, " and \\')
    if not audiences:
        raise PersonError("a client needs at least one audience, the service that its tokens are for")
    for audience in audiences:
        if not audience or not audience.isprintable():
            raise PersonError(f"{audience!r} cannot be an audience: it is empty or not printable")
