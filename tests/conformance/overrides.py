"""What is expected to come out otherwise than a suite says, each with its reason.

The files have the schema of go-ftw's platform overrides (waf-platform-overrides-schema 2.2), so that those
that the Core Rule Set keeps for other engines are read, too.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tests.conformance.schema import Output

OWN: Final = Path(__file__).with_name("overrides.yaml")


class OverridesError(Exception):
    """A file of overrides can't be used; the message says where and why."""


class Override(BaseModel):
    """A difference.

    Attributes:
        rule_id: whose tests.
        test_ids: which of them.
        reason: why.
        output: what is expected instead; None: whatever comes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule_id: int
    test_ids: tuple[int | str, ...] = Field(min_length=1)
    reason: str = Field(min_length=10)
    output: Output | None = None

    def names(self) -> list[str]:
        """Return the names of the tests."""
        return [f"{self.rule_id}-{number}" for number in self.test_ids]


def own(crs: str, path: Path = OWN) -> dict[str, Override]:
    """Return the gateway's overrides for a release, by the name of the test.

    Raises:
        OverridesError: if the file can't be used.
    """
    return _by_name(_load(path).get(crs) or [], path)


def of_platform(path: Path) -> dict[str, Override]:
    """Return the overrides of a file that the Core Rule Set keeps for an engine.

    Raises:
        OverridesError: if the file can't be used.
    """
    return _by_name(_load(path).get("test_overrides") or [], path)


def check_names(overrides: Iterable[str], tests: Iterable[str]) -> None:
    """See that each override is for a test that there is.

    Raises:
        OverridesError: if one is not.
    """
    unknown = sorted(set(overrides) - set(tests))
    if unknown:
        raise OverridesError(f"overrides for tests that there are not: {', '.join(unknown)}")


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, YAMLError) as error:
        raise OverridesError(f"{path}: {error}") from error
    return loaded if isinstance(loaded, dict) else {}


def _by_name(listed: Any, path: Path) -> dict[str, Override]:
    try:
        overrides = TypeAdapter(list[Override]).validate_python(listed)
    except ValidationError as error:
        raise OverridesError(f"{path}: {error}") from error
    found: dict[str, Override] = {}
    for override in overrides:
        for name in override.names():
            if name in found:
                raise OverridesError(f"{path}: two overrides for {name}")
            found[name] = override
    return found
