"""What the commands of this folder have in common."""

import argparse
from collections.abc import Callable
from typing import Never


def number(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of an option: a whole number within bounds."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return read


def stop(signum: int, _frame: object) -> Never:
    """Handle a signal: unwind, so that everything started is stopped on the way."""
    raise SystemExit(128 + signum)
