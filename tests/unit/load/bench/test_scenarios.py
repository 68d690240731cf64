"""The scenarios, how they are chosen, and what is sent in them."""

import json
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from load.bench.catalogue import PROXIES, TOKEN_SERVICES, missing
from load.bench.peers.bartizan import denied
from load.bench.peers.modsecurity import MODULE
from load.bench.peers.target import Guards
from load.bench.scenarios import (
    CLIENTS,
    CRS4,
    SCENARIOS,
    TWIN,
    Scenario,
    client_address,
    guards_of,
    load_of,
    select,
)
from load.bench.tokens import Tokens
from load.bench.traffic import WORD, WORD_LENGTH
from load.bench.waf_traffic import DEPTH, REQUESTS

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
    assert all(part.startswith(("GET /service-", "POST /service-5/users ")) for part in raw.split("\0"))
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
        ("rules-1000", Guards(limits=True, token=True, waf=True, own_rules=10)),
    ],
)
def test_the_twin_does_the_same_of_few(name: str, few: Guards) -> None:
    (scenario,) = select(name)
    assert guards_of(scenario, TWIN) == few
    assert guards_of(scenario, "bartizan") == scenario.guards


@pytest.mark.parametrize(("target", "rules"), [("bartizan-crs4", "crs-4.1.0"), ("modsecurity", None)])
def test_release_4_runs_where_it_is_to_be_had(
    target: str, rules: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crs-4.1.0" / "rules").mkdir(parents=True)
    monkeypatch.setenv("CORPORA", str(tmp_path))
    (scenario,) = select("get")
    assert guards_of(scenario, target).rules == (rules and tmp_path / rules)
    assert set(CRS4.values()) & set(missing()) == set() or not MODULE.exists()
    monkeypatch.delenv("CORPORA")
    assert set(CRS4.values()) <= set(missing())


def test_what_is_mixed_is_what_its_name_says() -> None:
    sent = REQUESTS["mixed"]
    counts = {
        "attacks": sum(request.refused for request in sent),
        "GET": sum(request.method == "GET" and not request.refused for request in sent),
        "POST": sum(request.method == "POST" and not request.refused for request in sent),
    }
    assert {name: count / len(sent) for name, count in counts.items()} == {
        "attacks": 0.1,
        "GET": 0.7,
        "POST": 0.2,
    }
    assert all(request.refused for request in REQUESTS["attacks"])
    assert [name for name, sent in REQUESTS.items() if any(request.refused for request in sent)] == [
        "attacks",
        "mixed",
    ]


@pytest.mark.parametrize(
    ("name", "fields", "least", "most"),
    [("json", None, 300, 400), ("form-250", 250, 7_500, 8_500), ("form-950", 950, 28_000, 33_000)],
)
def test_bodies_have_the_size_of_their_names(name: str, fields: int | None, least: int, most: int) -> None:
    (request,) = REQUESTS[name]
    body = request.body.replace(WORD, "x" * WORD_LENGTH)
    assert least <= len(body) <= most
    assert f"Content-Length: {len(body)}\r\n".encode() in request.raw()
    assert fields is None or len(parse_qsl(body)) == fields


def test_the_depth_of_deep_json() -> None:
    (request,) = REQUESTS["json-deep"]
    document, depth = json.loads(request.body), 0
    while isinstance(document, dict):
        document, depth = next(iter(document.values())), depth + 1
    assert depth == DEPTH


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
