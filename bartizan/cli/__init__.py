"""The operator's command."""

from bartizan.cli.app import main

__all__ = ["main"]
