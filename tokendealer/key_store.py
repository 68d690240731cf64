"""The signing keys on disk: their records in the database, the private keys as files beside it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from tokendealer.database import KeyRow
from tokendealer.files import read_private, write_private
from tokendealer.keys import KeyRing, SigningKey, generate_key, parse_key
from tokendealer.problems import PersonError
from tokendealer.settings import Algorithm


class KeyStore:
    """Keys in a folder and a database."""

    def __init__(self, engine: AsyncEngine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder

    async def has(self, algorithm: Algorithm) -> bool:
        """Say whether there is a key for an algorithm."""
        async with self._engine.connect() as connection:
            found = await connection.execute(select(KeyRow.kid).where(KeyRow.algorithm == algorithm))
            return found.first() is not None

    async def create(self, algorithm: Algorithm) -> SigningKey:
        """Make a key.

        The file is on disk before the record names it: after a crash in between there is a file too many,
        never a record without its key.
        """
        key = generate_key(algorithm)
        write_private(self._file(key.kid), key.to_pem())
        row = {"kid": key.kid, "algorithm": algorithm, "created_at": int(time.time())}
        async with self._engine.begin() as connection:
            await connection.execute(insert(KeyRow).values(row))
        return key

    async def load(self, algorithm: Algorithm) -> KeyRing:
        """Parse every key, once; the newest of the algorithm signs, all are published.

        A key of another algorithm is still published because tokens that it has signed are still out.

        Raises:
            PersonError: There is no key for the algorithm, or a key's file is missing, readable by others, or
                not the key that its record names.
        """
        query = select(KeyRow.kid, KeyRow.algorithm).order_by(KeyRow.created_at.desc(), KeyRow.kid)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        keys = [self._read(kid, cast("Algorithm", name)) for kid, name in rows]
        active = next((key for key in keys if key.algorithm == algorithm), None)
        if active is None:
            raise PersonError(
                f"there is no {algorithm} key in {self._folder}: run tokendealer init --algorithm {algorithm}"
            )
        return KeyRing(active, keys)

    def _file(self, kid: str) -> Path:
        return self._folder / f"{kid}.pem"

    def _read(self, kid: str, algorithm: Algorithm) -> SigningKey:
        path = self._file(kid)
        try:
            key = parse_key(read_private(path), algorithm)
        except ValueError as error:
            raise PersonError(f"{path} is not a private key for {algorithm}: {error}") from error
        if key.kid != kid:
            raise PersonError(f"{path} holds another key than its name says ({key.kid})")
        return key
