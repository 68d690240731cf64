"""What is wrong with a policy: where, and what would be right."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bartizan.errors import BartizanError

Key = tuple[str | int, ...]


class Finding(NamedTuple):
    """One mistake, as a check finds it.

    Attributes:
        key: the place, by keys and indices.
        message: one sentence without a full stop; `{other}` in it stands for the other place.
        other: a second place that takes part in the mistake.
    """

    key: Key
    message: str
    other: Key = ()


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake, as a person reads it.

    Attributes:
        line: the line in the policy file, from 1.
        key: the place as a person writes it, such as `routes[2].auth.issuer`; empty for the file as a whole.
        message: what is wrong and what would be right, in one sentence without a full stop.
    """

    line: int
    key: str
    message: str


class PolicyError(BartizanError):
    """A policy that cannot be used, with all of its mistakes in the order of the file.

    Attributes:
        path: the policy file, as the operator named it.
        problems: at least one.
    """

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Return one line a mistake: `gateway.yaml:12: routes[2].auth.issuer: what is wrong`."""
        return [
            f"{self.path}:{problem.line}: {problem.key + ': ' if problem.key else ''}{problem.message}"
            for problem in self.problems
        ]


def written(key: Key) -> str:
    """Write a key as a person does: `("routes", 2, "auth")` is `routes[2].auth`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
