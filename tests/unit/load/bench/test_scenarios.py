"""The scenarios, how they are chosen, and what is sent in them."""

from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path

import pytest

from load.bench.catalogue import PROXIES, TOKEN_SERVICES
from load.bench.peers.bartizan import denied
from load.bench.peers.target import Guards
from load.bench.scenarios import (
    CLIENTS,
    SCENARIOS,
    TWIN,
    Scenario,
    client_address,
    guards_of,
    load_of,
    select,
)
from load.bench.tokens import Tokens

NAMES = [scenario.name for scenario in SCENARIOS]
each_of_proxies = pytest.mark.parametrize(
    "scenario", [scenario for scenario in SCENARIOS if scenario.guards], ids=lambda scenario: scenario.name
)


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens("good", tmp_path / "tokens", tmp_path / "keys", tmp_path / "public")


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("", NAMES),
        ("token", ["token"]),
        (" token , proxy,", ["proxy", "token"]),
        ("token,token", ["token"]),
    ],
)
def test_names_choose_scenarios_in_their_usual_order(only: str, names: list[str]) -> None:
    assert [scenario.name for scenario in select(only)] == names


def test_an_unknown_name_is_told_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"there is no scenario 'tokens'; there are: proxy, limits, token, "):
        select("token,tokens")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_the_base_and_all_targets_are_known(scenario: Scenario) -> None:
    assert scenario.base in scenario.targets
    assert set(scenario.targets) <= set(PROXIES if scenario.guards else TOKEN_SERVICES)


@each_of_proxies
def test_what_is_sent(scenario: Scenario, tokens: Tokens, tmp_path: Path) -> None:
    load = load_of(scenario, tokens, tmp_path)
    raw = load.template.read_bytes().decode()
    assert raw.count("{}") == (scenario.differs is not None)
    assert (load.values is None) == (scenario.differs is None)
    assert raw.startswith("GET /service-")
    assert raw.count("\n") == raw.count("\r\n")
    assert scenario.guards is not None
    assert ("Authorization: Bearer " in raw) == scenario.guards.token


@pytest.mark.parametrize(
    ("name", "count", "first"), [("routes-10000", 10_000, "0"), ("clients-100000", 100_000, "10.0.0.0")]
)
def test_values_are_as_many_as_the_name_says_and_differ(
    name: str, count: int, first: str, tokens: Tokens, tmp_path: Path
) -> None:
    (scenario,) = select(name)
    load = load_of(scenario, tokens, tmp_path)
    assert load.values is not None
    values = load.values.read_text().split()
    assert (len(values), len(set(values)), values[0]) == (count, count, first)
    assert scenario.prefill == count


@pytest.mark.parametrize("name", ["routes-10000", "clients-100000"])
def test_the_twin_has_the_same_traffic_with_few_values(name: str, tokens: Tokens, tmp_path: Path) -> None:
    (scenario,) = select(name)
    load = load_of(scenario, tokens, tmp_path)
    assert load.values is not None
    many, raw = load.values.read_text().split(), load.template.read_bytes()
    few = load_of(scenario, tokens, tmp_path, few=True)
    assert few.values is not None
    assert few.values.read_text().split() == many[:10]
    assert few.template.read_bytes() == raw


@pytest.mark.parametrize(
    ("name", "few"),
    [
        ("routes-10000", Guards(limits=True, token=True)),
        ("addresses-1000000", Guards(limits=True, token=True, denied=10)),
        ("clients-100000", Guards(limits=True, token=True, forwarded=True)),
    ],
)
def test_the_twin_does_the_same_of_few(name: str, few: Guards) -> None:
    (scenario,) = select(name)
    assert guards_of(scenario, TWIN) == few
    assert guards_of(scenario, "bartizan") == scenario.guards


def test_clients_have_addresses_of_their_own() -> None:
    assert client_address(0) == "10.0.0.0"
    assert client_address(CLIENTS - 1) == "10.1.134.159"


def test_denied_networks_are_as_many_as_asked_for_and_leave_the_bench_alone() -> None:
    networks = [ip_network(line) for line in denied(5000).splitlines()]
    assert len(networks) == 5000
    spans = sorted((int(network[0]), int(network[-1])) for network in networks)
    # With a gap between them: they can't be joined to fewer.
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(spans))
    assert len({last - first for first, last in spans}) == 9
    assert not [network for network in networks if network.is_loopback or network.is_private]
