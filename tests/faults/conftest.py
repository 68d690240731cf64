"""What the tests of faults share: how long they run, and where they say what was sent and what was lost."""

from pathlib import Path
from typing import Final

import pytest

from tests.faults.bounds import BOUNDS, Bounds, chosen
from tests.faults.figures import Figures, attach

_HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    try:
        seconds = BOUNDS[chosen()].timeout
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    for item in items:
        if _HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(seconds))


@pytest.fixture(scope="session")
def bounds() -> Bounds:
    """Return how long and how much this run is to be."""
    return BOUNDS[chosen()]


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Return where a test writes the figures that it is to be judged by; they are shown and kept."""
    return attach(request.node)
