"""Fixtures that every suite shares. What starts a real gateway lives in tests/support/."""

import pytest
from hypothesis import settings

from tests.faults.figures import FiguresPlugin

# An example has no deadline: a busy machine would fail it. pytest-timeout ends what hangs.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(FiguresPlugin(config))
