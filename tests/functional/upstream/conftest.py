"""An application on a database of its own, with an issuer that the test controls."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from quart import Quart
from quart.testing import QuartClient

from tests.support.issuer import AUDIENCE, ISSUER, jwks, token
from tests.support.waiting import until
from upstream import database
from upstream.app import create_app
from upstream.services import services_of
from upstream.settings import Settings


@dataclass
class Issuer:
    """Answers the service's fetches of the key set.

    Attributes:
        document: what it publishes, None while it is away.
    """

    document: bytes | None = field(default_factory=lambda: jwks("ES256", "EdDSA"))
    fetches: int = 0

    def answer(self, _request: httpx.Request) -> httpx.Response:
        """Answer one fetch."""
        self.fetches += 1
        if self.document is None:
            raise httpx.ConnectError("away")
        return httpx.Response(200, content=self.document)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def app(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Quart]:
    """The application while it serves; it has its keys unless the issuer is away."""
    settings = Settings(state=tmp_path, issuer=ISSUER, audience=AUDIENCE)
    database.make_file(settings.database)
    await database.initialise(settings.database)
    app = create_app(settings, key_transport=httpx.MockTransport(issuer.answer))
    async with app.test_app():
        if issuer.document is not None:
            await until(lambda: services_of(app).keys.keys is not None)
        yield app


@pytest.fixture
def client(app: Quart) -> QuartClient:
    """A client without a token."""
    return client_of(app)


def client_of(app: Quart) -> QuartClient:
    """Return a client without a token."""
    client = app.test_client()
    assert isinstance(client, QuartClient)
    return client


def bearer(scope: str = "users:read users:write", **changes: Any) -> dict[str, str]:
    """Return the header with a good token."""
    return {"Authorization": f"Bearer {token(scope=scope, **changes)}"}
