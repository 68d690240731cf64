"""The command, and how the work is planned."""

import os

import pytest

from load.bench.__main__ import main
from load.bench.cores import Cores
from load.bench.run import Plan
from load.bench.scenarios import select


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "tokens"], "there is no scenario 'tokens'; there are: proxy, limits, token"),
        (["--rounds", "0"], "'0' is not a number from 1 to 20"),
        (["--seconds", "1.5"], "'1.5' is not a number from 1 to 60"),
        (["--seconds", "61"], "'61' is not a number from 1 to 60"),
    ],
)
def test_a_mistake_is_told(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_what_is_not_there_has_no_part_in_it() -> None:
    (token,) = select("token")
    assert Plan([token], left_out=["envoy", "envoy-cache"]).targets(token) == ["bartizan", "nginx", "haproxy"]


def test_steps_are_those_that_are_told_of() -> None:
    # Each of 5 + 3 targets starts, warms up and has three rounds; two are driven at a fixed rate.
    assert Plan(select("token,issue-token")).steps() == 8 * 5 + 2 * 5
    assert Plan(select("issue-token")).steps() == 3 * 5


@pytest.mark.parametrize(
    ("usable", "proxy", "rest"),
    [({0, 1}, {0}, {1}), ({3}, {3}, {3}), ({2, 5, 7, 9}, {2}, {5, 7, 9})],
)
def test_the_worker_has_a_core_of_its_own(usable: set[int], proxy: set[int], rest: set[int]) -> None:
    cores = Cores(usable)
    assert (cores.proxy, cores.rest) == (proxy, rest)


def test_this_program_gets_its_cores_back() -> None:
    before = os.sched_getaffinity(0)
    cores = Cores()
    cores.keep_off()
    try:
        assert os.sched_getaffinity(0) == cores.rest
    finally:
        cores.give_back()
    assert os.sched_getaffinity(0) == before
