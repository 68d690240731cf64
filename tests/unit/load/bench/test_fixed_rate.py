"""What h2load writes of each request, and percentiles of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.bench.fixed_rate import percentile, read_log
from load.bench.wrk import LoadError

BEGIN = 1_795_000_000_000_000


def log(*rows: tuple[int, int, int]) -> str:
    return "".join(f"{BEGIN + sent}\t{status}\t{took}\n" for sent, status, took in rows)


def test_the_first_second_does_not_count() -> None:
    slow = [(number * 10_000, 200, 90_000) for number in range(100)]
    # 1,000 requests in the next two seconds; each took as many microseconds as its number.
    counted = [(1_000_000 + number * 2_000, 200, number) for number in range(1, 1001)]
    paced = read_log(log(*slow, *counted), 510)
    assert paced.asked == 510
    assert paced.rps == pytest.approx(500)
    assert (paced.p50_ms, paced.p99_ms) == (0.5, 0.99)


def test_lines_may_come_in_any_order_and_with_more_columns() -> None:
    rows = log((2_000_000, 200, 3000), (0, 200, 1), (1_500_000, 200, 1000))
    paced = read_log(rows.replace("\n", "\tlater\n"), 2)
    assert (paced.rps, paced.p50_ms, paced.p99_ms) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize("status", [-1, 301, 429, 503])
def test_a_run_with_failures_has_no_figures(status: int) -> None:
    with pytest.raises(LoadError, match=f"1 of 3 requests failed, one with the status {status}"):
        read_log(log((0, 200, 1), (1_100_000, status, 1), (1_200_000, 200, 1)), 1)


@pytest.mark.parametrize("text", ["", log((0, 200, 1))], ids=range(2))
def test_a_run_without_answers_has_no_figures(text: str) -> None:
    with pytest.raises(LoadError, match="no request was answered"):
        read_log(text, 1)


@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[int], per_cent: int) -> None:
    found = percentile(sorted(values), per_cent)
    assert found in values
    within = sum(value <= found for value in values)
    below = sum(value < found for value in values)
    assert within * 100 >= per_cent * len(values)
    assert below * 100 < per_cent * len(values)
