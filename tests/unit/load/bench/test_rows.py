"""Medians, ratios, and what stands in the report of them."""

import pytest

from load.bench.fixed_rate import Paced
from load.bench.rows import Memory, Round, Row, find, ratio


def row(scenario: str, target: str, *costs: float, base: str = "nginx", paced: tuple[Paced, ...] = ()) -> Row:
    rounds = tuple(
        Round(
            rps=1e6 / cost,
            cpu_us=cost,
            busy=1.0,
            waited=0.01,
            percentiles={50: cost, 90: cost * 2, 99: cost * 3},
        )
        for cost in costs
    )
    return Row(scenario, target, base, rounds, paced, Memory(10.04, 8.06, 4.0))


ROWS = [
    row("token", "bartizan", 30, 10, 20),
    row("token", "nginx", 8, 10, 300),
    row("proxy", "nginx", 5, 5, 5),
    Row("proxy", "bartizan", error="no request was answered"),
    row("issue-token", "bartizan", 1000, base="book"),
    row("issue-token", "book", 40_000, base="book"),
]


def test_figures_are_medians() -> None:
    found = ROWS[0]
    assert (found.cpu_us, found.rps, found.percentile(99)) == (20, 50_000, 60)


@pytest.mark.parametrize(
    ("number", "expected"), [(0, 2.0), (1, 1.0), (2, 1.0), (3, None), (4, 0.025), (5, 1.0)]
)
def test_a_ratio_is_against_the_base_of_the_same_scenario(number: int, expected: float | None) -> None:
    assert ratio(ROWS, ROWS[number]) == (expected if expected is None else pytest.approx(expected))


def test_without_a_base_there_is_no_ratio() -> None:
    assert ratio(ROWS[:1], ROWS[0]) is None


def test_a_row_without_figures_is_not_found() -> None:
    assert find(ROWS, "proxy", "nginx") is ROWS[2]
    assert find(ROWS, "proxy", "bartizan") is None
    assert find(ROWS, "proxy", "haproxy") is None


def test_the_row_of_the_report() -> None:
    assert ROWS[0].as_json() == {
        "scenario": "token",
        "target": "bartizan",
        "rps": 50_000,
        "cpu_us_per_request": 20,
        "p50_ms": 20,
        "p90_ms": 40,
        "p99_ms": 60,
        "rss_mib": 10.0,
        "pss_mib": 8.1,
        "own_mib": 4,
        "busy": 1,
        "waited": 0.01,
        "rounds": [
            {"rps": 33333.3, "cpu_us_per_request": 30},
            {"rps": 100_000, "cpu_us_per_request": 10},
            {"rps": 50_000, "cpu_us_per_request": 20},
        ],
    }


def test_figures_at_a_fixed_rate_are_medians_too() -> None:
    paced = (Paced(100, 100, 1.0, 9.0), Paced(100, 101, 1.5, 2.0), Paced(100, 99, 1.2, 3.0))
    found = row("token", "nginx", 1, paced=paced).as_json()
    names = ("fixed_rate_asked_rps", "fixed_rate_rps", "fixed_rate_p50_ms", "fixed_rate_p99_ms")
    assert [found[name] for name in names] == [100, 100, 1.2, 3.0]


def test_an_error_has_no_figures() -> None:
    assert ROWS[3].as_json() == {
        "scenario": "proxy",
        "target": "bartizan",
        "error": "no request was answered",
    }
