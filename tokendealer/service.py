"""The parts of a running token service, put together once at start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tokendealer.client_directory import ClientDirectory
from tokendealer.keys import KeyRing
from tokendealer.rfc6749.token_endpoint import TokenEndpoint
from tokendealer.rfc7517 import JwkSet
from tokendealer.rfc9068 import AccessTokens
from tokendealer.settings import TOKEN_LIFETIME, Settings
from tokendealer.state import StateFolder


@dataclass(frozen=True, slots=True)
class Service:
    """What the views answer from.

    Attributes:
        settings: As they were checked.
        keys: The parsed signing keys.
        clients: The picture of the registry, which follows the database.
        tokens: Issues and verifies.
        token_endpoint: Answers token requests.
        jwk_set: The published keys.
    """

    settings: Settings
    keys: KeyRing
    clients: ClientDirectory
    tokens: AccessTokens
    token_endpoint: TokenEndpoint
    jwk_set: JwkSet


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Open the state folder, parse the keys, read the registry and follow it.

    Raises:
        PersonError: The folder is not what this service can run on; the sentence says why.
    """
    async with StateFolder(settings.state).open() as state:
        keys = await state.keys.load(settings.algorithm)
        clients = ClientDirectory(state.engine)
        tokens = AccessTokens(settings.issuer, TOKEN_LIFETIME, keys)
        async with clients.following():
            yield Service(
                settings,
                keys,
                clients,
                tokens,
                TokenEndpoint(clients, state.hasher, tokens),
                JwkSet.of(keys),
            )
