"""Fixtures that every suite shares. What starts a real gateway lives in tests/support/."""
