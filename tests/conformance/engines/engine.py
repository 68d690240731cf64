"""What every engine under test has in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from tests.conformance.judge import Match, Observation
from tests.conformance.overrides import Override
from tests.conformance.sender import Sent

# The limits that the suites' README asks for (its SecAction 900005), without what turns ModSecurity to
# detection only: here it is the engine's mode. The older release knows the first two of them only.
LIMITS: Final = {
    "crs_validate_utf8_encoding": 1,
    "arg_name_length": 100,
    "arg_length": 400,
    "total_arg_length": 64000,
    "max_num_args": 255,
    "max_file_size": 64100,
    "combined_file_sizes": 65535,
}
_OLDER: Final = ("crs_validate_utf8_encoding", "arg_name_length", "arg_length")


class Engine(ABC):
    """An engine that runs; it starts when it is made.

    Attributes:
        port: where it listens, on 127.0.0.1, for plain HTTP.
        strict: whether an override that is not needed, or for no test, is an error.
    """

    port: int
    strict = True

    @abstractmethod
    def matches(self) -> Mapping[str, tuple[list[Match], list[str]]]:
        """Return what its log says so far: rules and remarks by the client's address."""

    @abstractmethod
    def overrides(self) -> Mapping[str, Override]:
        """Return what is expected to come out otherwise with it, by the name of the test."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it."""

    def observe(self, sent: Sequence[Sent]) -> list[Observation]:
        """Return what came of each stage that was sent."""
        logged = self.matches()
        seen = []
        for stage in sent:
            matches, told = logged.get(stage.address, ([], []))
            seen.append(Observation(stage.answer, stage.status, tuple(matches), tuple(told)))
        return seen

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def setup(crs: str, *, paranoia: bool = False) -> str:
    """Return the SecAction of the suites' README for a release.

    Args:
        crs: the release.
        paranoia: whether it sets the paranoia level, too.
    """
    older = crs.startswith("3.")
    limits = {name: LIMITS[name] for name in _OLDER} if older else dict(LIMITS)
    if paranoia:
        limits["paranoia_level" if older else "blocking_paranoia_level"] = 4
    lines = ",\\\n  ".join(f"setvar:tx.{name}={value}" for name, value in limits.items())
    return f'SecAction "id:900005,\\\n  phase:1,\\\n  nolog,\\\n  pass,\\\n  {lines}"\n'
