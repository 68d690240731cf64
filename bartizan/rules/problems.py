"""What is wrong with rule files: where, and what would be right."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bartizan.errors import BartizanError


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something is written.

    Attributes:
        path: the file, as it was named or included.
        line: from 1; of a statement over several lines the first.
    """

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Mistake(ValueError):  # noqa: N818 (it never leaves this package: RulesError does)
    """What a part of a statement can't be, before its place is known; one sentence without a full stop."""


class Refusal(Mistake):
    """Something that ModSecurity knows and Bartizan deliberately does not do."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake, as a person reads it."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class RulesError(BartizanError):
    """Rule files that cannot be used, with all their mistakes in the order in which the files are read.

    Attributes:
        problems: at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(map(str, self.problems)))
