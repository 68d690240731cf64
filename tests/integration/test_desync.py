"""Tricks with the framing of requests: each is refused, or the service reads what the gateway judged.

The way of a request is client, gateway, a relay that keeps the bytes, hypercorn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.support.desync import Grid, Outcome
from tests.support.desync_cases import Case, cases_of, expected, gives_of
from tests.support.desync_house import house
from tests.support.readers import Request, read_strictly, read_with_h11
from tests.support.refusals import CASES as FILES
from tests.support.relay import Relay

# How many cases there are of each family.
FAMILIES: Final = {
    "transfer-encoding": 64,
    "content-length": 75,
    "both-lengths": 18,
    "chunks": 65,
    "line-ends": 36,
    "names": 29,
    "connection": 44,
    "methods": 23,
    "targets": 67,
    "hosts": 40,
    "pipelining": 35,
    "early-answers": 11,
    "http2-fields": 150,
    "http2-frames": 31,
}
CASES: Final = {(family, name): case for family in FAMILIES for name, case in cases_of(family).items()}
assert Counter(family for family, _ in CASES) == FAMILIES
assert {path.stem for path in (FILES / "desync").iterdir()} == set(FAMILIES)


def ways_of(case: Case) -> tuple[str, ...]:
    """Return how a case is sent: at once and in plain, and once more over TLS, a few bytes at a time.

    Where a case ends in one way or the other depending on how much of it nginx has read, only at once.
    """
    if "frames" in case:
        return ("frames",)
    return ("plain",) if case.get("at_once") else ("plain", "pieces")


WAYS: Final = [(family, name, way) for (family, name), case in CASES.items() for way in ways_of(case)]
assert len(WAYS) == 1192


@pytest.fixture(scope="module")
def sent() -> Iterator[tuple[Grid, Relay]]:
    with house() as running:
        yield running


@pytest.fixture(scope="module")
def outcomes(sent: tuple[Grid, Relay]) -> dict[tuple[str, str, str], Outcome]:
    grid, _ = sent
    return {
        (family, name, way): grid.run(CASES[family, name], tls=way == "pieces") for family, name, way in WAYS
    }


@pytest.fixture(scope="module")
def grid(sent: tuple[Grid, Relay], outcomes: dict[tuple[str, str, str], Outcome]) -> Grid:
    """The grid, after all cases."""
    assert outcomes
    return sent[0]


@pytest.fixture(scope="module")
def lines(grid: Grid) -> dict[str, dict[str, Any]]:
    """The lines of the access log by their request ids."""
    return grid.lines()


@pytest.mark.parametrize(("family", "name", "way"), WAYS)
def test_refused_or_read_as_it_was_judged(
    outcomes: dict[tuple[str, str, str], Outcome], family: str, name: str, way: str
) -> None:
    outcome = outcomes[family, name, way]
    assert outcome.faults == []
    assert (outcome.gave, outcome.lives) == expected(CASES[family, name])


def test_both_outcomes_are_many(outcomes: dict[tuple[str, str, str], Outcome]) -> None:
    forwarded = sum(bool(outcome.read) for outcome in outcomes.values())
    assert forwarded > 300
    assert len(outcomes) - forwarded > 600


def test_the_access_log_has_every_request_once_and_no_other(
    grid: Grid, lines: dict[str, dict[str, Any]]
) -> None:
    assert len(set(grid.known)) == len(grid.known)
    unknown = [line for request_id, line in lines.items() if request_id not in set(grid.known)]
    # What clients gave up was let through by the guards, but is not whole, so it is not forwarded.
    assert {(line["status"], line["verdict"], line["upstream"]) for line in unknown} == {(499, "passed", "")}
    assert len(unknown) == sum(gives_of(CASES[family, name]).count("given up") for family, name, _ in WAYS)


def test_what_was_read_is_what_the_gateway_has_logged(
    outcomes: dict[tuple[str, str, str], Outcome], lines: dict[str, dict[str, Any]]
) -> None:
    for (family, name, _), outcome in outcomes.items():
        respelled = CASES[family, name].get("logged", [])
        for read in outcome.read:
            line = lines[read.request_id]
            method, target = read.text.split(" ")
            assert (line["method"], line["verdict"]) == (method, "passed"), name
            assert line["path"] in {target, *respelled}, name
            assert line["upstream"], name


def test_what_was_not_read_is_refused_in_both_logs(
    grid: Grid, outcomes: dict[tuple[str, str, str], Outcome], lines: dict[str, dict[str, Any]]
) -> None:
    audited = {event["request_id"]: event for event in grid.gateway.audit()}
    for (_, name, _), outcome in outcomes.items():
        for request_id in set(outcome.ids) - {read.request_id for read in outcome.read}:
            line = lines[request_id]
            assert line["upstream"] == "", name
            if line["status"] in {200, 204}:  # the health check, a preflight
                assert request_id not in audited, name
                continue
            assert audited[request_id]["decision"] in {"refused", "aborted"}, name
            assert audited[request_id]["status"] == line["status"], name


@pytest.mark.parametrize("reader", [read_strictly, read_with_h11])
def test_the_bytes_that_were_forwarded_read_one_way(
    grid: Grid, sent: tuple[Grid, Relay], reader: Callable[[bytes], tuple[list[Request], bytes]]
) -> None:
    """Another reader finds in them the requests that hypercorn has found, and nothing else."""
    for read, read_by_the_service in grid.connections(sent[1], reader):
        assert read == read_by_the_service
