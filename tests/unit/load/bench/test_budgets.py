"""What the gateway must show, judged over rows that are written by hand."""

import pytest

from load.bench.budgets import judge
from load.bench.rows import Round, Row


def _row(scenario: str, target: str, cpu_us: float) -> Row:
    return Row(scenario, target, rounds=(Round(1000, cpu_us, 1, 0, {50: 1, 99: 2}),))


def _measured(*rows: Row) -> dict[str, float]:
    return {verdict.what: verdict.measured for verdict in judge(rows)}


def test_a_time_is_a_ratio_of_its_peer() -> None:
    measured = _measured(_row("token", "bartizan", 30), _row("token", "haproxy", 60))
    assert measured == {"token: time of HAProxy": pytest.approx(0.5)}


def test_what_was_not_measured_is_not_judged() -> None:
    assert _measured(_row("token", "bartizan", 30), _row("proxy", "nginx", 20)) == {}


@pytest.mark.parametrize(("slowness", "ratio"), [(1, 1.1), (1.5, 1.1)])
def test_scenarios_are_compared_beside_nginx_of_their_own_rounds(slowness: float, ratio: float) -> None:
    measured = _measured(
        _row("token", "bartizan", 30),
        _row("token", "nginx", 20),
        _row("clients-100000", "bartizan", 33 * slowness),
        _row("clients-100000", "nginx", 20 * slowness),
    )
    assert measured["100,000 clients: time of token, each beside plain nginx in its rounds"] == pytest.approx(
        ratio
    )


def test_they_are_not_compared_without_nginx() -> None:
    measured = _measured(_row("token", "bartizan", 30), _row("clients-100000", "bartizan", 33))
    assert not [what for what in measured if "time of token" in what]


def test_a_verdict_is_met_up_to_its_bound() -> None:
    (met,) = judge([_row("token", "bartizan", 30), _row("token", "haproxy", 60)])
    (missed,) = judge([_row("token", "bartizan", 31), _row("token", "haproxy", 60)])
    assert met.met
    assert not missed.met
