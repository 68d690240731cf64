"""What is asked of the compiler besides rule files: which rules to read, and how strict to be."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bartizan.errors import BartizanError

_COLLECTIONS: Final = {
    "args": ("ARGS", "ARGS_GET", "ARGS_POST"),
    "cookie": ("REQUEST_COOKIES",),
    "header": ("REQUEST_HEADERS",),
}


@dataclass(frozen=True, slots=True)
class RuleSource:
    """Where rules are read from.

    Attributes:
        folder: a release of the Core Rule Set; None for Debian's package.
        before: own rule files that are read before its rules, in this order.
        after: own rule files that are read after them.
        plugins: a folder of its plugins; None for the one beside the rules.
    """

    folder: Path | None = None
    before: tuple[Path, ...] = ()
    after: tuple[Path, ...] = ()
    plugins: Path | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What a policy takes out of the rules.

    Attributes:
        rule: the rule's id.
        tag: or every rule with this tag.
        parameter: only for this value: `args:NAME`, `cookie:NAME` or `header:NAME`; None: not at all.
    """

    rule: int | None = None
    tag: str | None = None
    parameter: str | None = None

    def means(self, number: int, tags: tuple[str, ...]) -> bool:
        """Say whether it is about a rule."""
        return (self.rule is None or self.rule == number) and (self.tag is None or self.tag in tags)

    def target(self) -> tuple[tuple[str, ...], str] | None:
        """Return the collections and the member that are left out; None: the rule as a whole.

        Raises:
            BartizanError: the parameter is not understood.
        """
        if self.parameter is None:
            return None
        kind, colon, name = self.parameter.partition(":")
        if kind not in _COLLECTIONS or not colon or not name:
            raise BartizanError(
                f"an exclusion's parameter is args:NAME, cookie:NAME or header:NAME, not {self.parameter!r}"
            )
        return _COLLECTIONS[kind], name

    def __str__(self) -> str:
        what = f"rule {self.rule}" if self.rule is not None else f"tag {self.tag}"
        return f"{what} for {self.parameter}" if self.parameter else what


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """How strict the rules are.

    Attributes:
        paranoia: from 1 to 4; what is detected is also what blocks.
        inbound: the anomaly score at which a request is refused.
        outbound: the same for answers.
        exclusions: what is not asked.
        variables: further variables of TX, as crs-setup.conf would set them; the names in lower case.
    """

    paranoia: int = 1
    inbound: int = 5
    outbound: int = 4
    exclusions: tuple[Exclusion, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    def constants(self) -> dict[str, str]:
        """Return the variables of TX that a policy decides, for both lines of the Core Rule Set (3.3, 4)."""
        paranoia = str(self.paranoia)
        return {
            "blocking_paranoia_level": paranoia,
            "detection_paranoia_level": paranoia,
            "paranoia_level": paranoia,
            "executing_paranoia_level": paranoia,
            "inbound_anomaly_score_threshold": str(self.inbound),
            "outbound_anomaly_score_threshold": str(self.outbound),
            **dict(self.variables),
        }
