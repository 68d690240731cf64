"""Whether what came of a stage is what its test expects."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.conformance.schema import Output

_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that matched.

    Attributes:
        rule: its id.
        message: what it says.
        data: where and what matched, as the rule words it.
    """

    rule: int
    message: str = ""
    data: str = ""

    def line(self) -> str:
        """Return it the way ModSecurity's error log has it, for which the expressions are made."""
        data = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in self.data)
        return f'[id "{self.rule}"] [msg "{self.message}"] [data "{data}"]'


@dataclass(frozen=True, slots=True)
class Observation:
    """What came of a stage.

    Attributes:
        answer: the whole answer; empty for none.
        status: of the answer; None if there was none that could be read.
        matches: the rules that matched.
        told: what else the log says of the request, for people.
    """

    answer: bytes = b""
    status: int | None = None
    matches: tuple[Match, ...] = ()
    told: tuple[str, ...] = ()


def judge(expected: Output, seen: Observation) -> list[str]:
    """Return what is not as expected, in words; nothing if all is."""
    if expected.expect_error and seen.status is None:
        return []
    faults = list(_faults(expected, seen))
    if faults and seen.told:
        faults.append(f"the log says: {'; '.join(seen.told)}")
    return faults


def _faults(expected: Output, seen: Observation) -> Iterator[str]:
    if seen.status is None:
        yield "there is no answer that can be read"
        return
    if expected.status and seen.status not in expected.status:
        yield f"status {seen.status} instead of {' or '.join(map(str, expected.status))}"
    elif expected.expect_error and not _expects_more(expected):
        yield f"an answer with status {seen.status} instead of none"
    if expected.response_contains and not re.search(expected.response_contains.encode(), seen.answer):
        yield f"the answer does not hold {expected.response_contains!r}"
    yield from _log_faults(expected, seen)


def _expects_more(expected: Output) -> bool:
    return bool(expected.status or expected.log_contains or expected.no_log_contains)


def _log_faults(expected: Output, seen: Observation) -> Iterator[str]:
    rules = [match.rule for match in seen.matches]
    lines = [match.line() for match in seen.matches]
    log = expected.log
    matched = f"matched: {_listed(rules)} (status {seen.status})"
    for rule in log.expect_ids:
        if rule not in rules:
            yield f"{rule} did not match; {matched}"
    for rule in log.no_expect_ids:
        if rule in rules:
            yield f"{rule} matched: {next(match.data for match in seen.matches if match.rule == rule)}"
    for wanted in filter(None, (log.match_regex, expected.log_contains)):
        if not any(re.search(wanted, line) for line in lines):
            yield f"no line of the log has {wanted!r}; {matched}"
    for unwanted in filter(None, (log.no_match_regex, expected.no_log_contains)):
        if line := next((line for line in lines if re.search(unwanted, line)), None):
            yield f"a line of the log has {unwanted!r}: {line}"
    if expected.isolated and set(rules) != set(log.expect_ids):
        yield f"other rules matched, too; {matched}"


def _listed(rules: list[int]) -> str:
    more = f" and {len(rules) - _SHOWN} more" if len(rules) > _SHOWN else ""
    return (", ".join(map(str, rules[:_SHOWN])) or "none") + more
