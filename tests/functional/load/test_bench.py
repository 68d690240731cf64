"""One short round of one scenario, so that the bench can't rot; what is measured in it means nothing."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from load.bench import catalogue
from load.bench.check import CheckError, check_limits
from load.bench.peers.modsecurity import MODULE
from load.bench.peers.nginx import Nginx
from load.bench.peers.target import Guards, Site
from load.bench.progress import Progress
from load.bench.rows import Row
from load.bench.run import Bench, Plan
from load.bench.scenarios import SCENARIOS
from load.bench.tokens import Tokens, ready

TOKEN = next(scenario for scenario in SCENARIOS if scenario.name == "token")
NEW = next(scenario for scenario in SCENARIOS if scenario.name == "token-new")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return ready(tmp_path_factory.mktemp("tokens"), 16)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that nginx's unprivileged workers may enter, as those of pytest may not be."""
    folder = tmp_path_factory.mktemp("bench")
    for path in (folder, folder.parent, folder.parent.parent):
        path.chmod(path.stat().st_mode | 0o055)
    return folder


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Every process is stopped and this one may run everywhere again, whatever came."""
    cores = os.sched_getaffinity(0)
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) - before == set()
    assert os.sched_getaffinity(0) == cores


def run(
    folder: Path, tokens: Tokens, *scenarios: str, targets: tuple[str, ...]
) -> dict[tuple[str, str], Row]:
    """Measure for a second."""
    chosen = [replace(scenario, targets=targets) for scenario in SCENARIOS if scenario.name in scenarios]
    plan = Plan(chosen, rounds=1, seconds=1, paced_rounds=0)
    with (
        Progress(plan.steps(), Console(quiet=True)) as progress,
        Bench(plan, folder, tokens, progress) as bench,
    ):
        return {(row.scenario, row.target): row for row in bench.run()}


def test_the_gateway_beside_nginx(folder: Path, tokens: Tokens) -> None:
    rows = run(folder, tokens, "token", "token-new", targets=("bartizan", "nginx"))
    assert list(rows) == [
        *(("token", "bartizan"), ("token", "nginx")),
        *(("token-new", "bartizan"), ("token-new", "nginx")),
    ]
    for row in rows.values():
        assert row.error is None
        figures = row.as_json()
        for name in ("rps", "cpu_us_per_request", "p50_ms", "p90_ms", "p99_ms", "rss_mib", "own_mib"):
            assert figures[name] > 0


@pytest.mark.skipif(not MODULE.exists(), reason=f"{MODULE.name} is not installed (make bench installs it)")
def test_modsecurity_beside_nginx(folder: Path, tokens: Tokens) -> None:
    rows = run(folder, tokens, "attacks", "json", targets=("modsecurity", "nginx"))
    assert [row.error for row in rows.values()] == [None] * 4
    for scenario in ("attacks", "json"):
        assert rows[scenario, "modsecurity"].cpu_us > rows[scenario, "nginx"].cpu_us


def test_rules_that_let_attacks_through_have_no_figures(
    folder: Path, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalogue.PROXIES, "modsecurity", catalogue.Proxy(Nginx, verifies=False))
    rows = run(folder, tokens, "attacks", targets=("modsecurity",))
    assert rows["attacks", "modsecurity"].error is not None
    assert (
        "an attack gets 200 instead of 403: GET /service-5/users?q=1%27"
        in rows["attacks", "modsecurity"].error
    )


def test_a_target_that_lets_all_through_has_no_figures(
    folder: Path, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalogue.PROXIES, "nginx", catalogue.Proxy(Nginx, verifies=True))
    rows = run(folder, tokens, "token", targets=("nginx",))
    assert rows["token", "nginx"].error == "a request without a token gets 200 instead of 401 or 403"


def test_a_target_that_refuses_has_no_figures(folder: Path, tokens: Tokens) -> None:
    strict = Guards(limits=True, rate=100, burst=10)
    chosen = [replace(TOKEN, name="limits", guards=strict, targets=("nginx",))]
    plan = Plan(chosen, rounds=1, seconds=1, paced_rounds=0)
    with (
        Progress(plan.steps(), Console(quiet=True)) as progress,
        Bench(plan, folder, tokens, progress) as bench,
    ):
        (row,) = bench.run()
    assert row.error is not None
    assert row.error.startswith("Non-2xx or 3xx responses: ")


def test_a_limit_that_is_none_is_found(folder: Path, tokens: Tokens) -> None:
    def unlimited(site: Site, _guards: Guards) -> Nginx:
        return Nginx(site, Guards())

    plan = Plan([])
    with Bench(plan, folder, tokens, Progress(1, Console(quiet=True))) as bench:
        site = bench.site(folder)
        with pytest.raises(CheckError, match=r"makes six requests get \[200, 200, 200, 200, 200, 200\]"):
            check_limits(unlimited, site)
