"""Fixtures that every suite shares. What starts a real gateway lives in tests/support/."""

from hypothesis import settings

# An example has no deadline: a busy machine would fail it. pytest-timeout ends what hangs.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")
