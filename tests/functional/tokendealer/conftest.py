"""A token service with clients, in the process of the test and without a socket."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from quart import Quart
from quart.typing import TestClientProtocol as Client

from tests.support.tokendealer import Prepared, prepare_state
from tokendealer.app import create_app
from tokendealer.service import Service, open_service
from tokendealer.settings import Settings


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A state folder that no test changes."""
    return prepare_state(tmp_path_factory.mktemp("tokendealer") / "state")


@pytest.fixture
def own_state(prepared: Prepared, tmp_path: Path) -> Prepared:
    """A copy that a test may change."""
    path = tmp_path / "state"
    shutil.copytree(prepared.path, path)
    return Prepared(path, prepared.clients)


@pytest.fixture
async def service(prepared: Prepared) -> AsyncIterator[Service]:
    async with open_service(Settings(state=prepared.path, algorithm="EdDSA")) as opened:
        yield opened


@pytest.fixture
def app(service: Service) -> Quart:
    return create_app(service)


@pytest.fixture
def client(app: Quart) -> Client:
    return app.test_client()


@pytest.fixture
def events() -> Iterator[list[Any]]:
    """What the service logs."""
    with structlog.testing.capture_logs() as captured:
        yield captured
