"""What most tests at a running gateway stand on. A module has its own; its `gateway` is written there."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.backend import Backend, Respond
from tests.support.gateway import Gateway
from tests.support.refusals import Wire


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """Return a service that answers everything, and records it."""
    with Backend() as running:
        yield running


@pytest.fixture
def answers(backend: Backend) -> Iterator[Callable[[Respond], None]]:
    """Let the backend answer as a test wants, for the time of the test."""
    usual = backend.respond

    def set_respond(respond: Respond) -> None:
        backend.respond = respond

    yield set_respond
    backend.respond = usual


@pytest.fixture(scope="module")
def wire(gateway: Gateway, backend: Backend) -> Wire:
    """Return what sends requests to the module's gateway, and says what came of each."""
    return Wire(gateway, backend)
