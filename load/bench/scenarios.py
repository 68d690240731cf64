"""The scenarios: who takes part, what the proxies have to do, and what is sent to them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, Literal

from load.bench.peers.target import Guards
from load.bench.tokens import Tokens
from load.bench.traffic import CONNECTIONS, HOLE, Load, Request
from load.bench.waf_traffic import REQUESTS

HOST: Final = "api.example.com"
ROUTES: Final = 10_000
DENIED: Final = 1_000_000
CLIENTS: Final = 100_000
OWN_RULES: Final = 1_000

# The gateway once more, with the same traffic to few routes, from few clients, with few networks denied or
# few rules.
TWIN: Final = "bartizan-10"
FEW: Final = 10

# Who runs rules, and the same with release 4 of the Core Rule Set instead of the one that Debian packages.
RULE_ENGINES: Final = ("bartizan", "modsecurity")
CRS4: Final = {"bartizan": "bartizan-crs4", "modsecurity": "modsecurity-crs4"}


def crs4() -> Path | None:
    """Return the checkout of release 4 that lies in the folder that CORPORA names; None if there is none."""
    corpora = os.environ.get("CORPORA")
    found = sorted(Path(corpora).resolve().glob("crs-4.*/rules")) if corpora else []
    return found[-1].parent if found else None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One comparison.

    Attributes:
        name: as on the command line and in the report.
        shows: what it is about, for people.
        targets: who takes part.
        guards: what proxies have to do; None where token services are compared.
        base: the target that ratios are of.
        differs: what differs from request to request.
        prefill: how many requests each target gets before anything is measured.
        connections: how many are kept busy.
    """

    name: str
    shows: str
    targets: tuple[str, ...]
    guards: Guards | None
    base: str = "nginx"
    differs: Literal["token", "route", "client"] | None = None
    prefill: int = 0
    connections: int = CONNECTIONS


_PROXIES: Final = ("bartizan", "nginx", "haproxy", "envoy")
_VERIFIERS: Final = (*_PROXIES, "envoy-cache")
_GATEWAY: Final = ("bartizan", TWIN, "nginx")
_RULES: Final = ("nginx", *RULE_ENGINES, *CRS4.values())


def _rules(name: str, shows: str, connections: int = CONNECTIONS) -> Scenario:
    guards = Guards(limits=True, token=True, waf=True)
    return Scenario(name, f"as token, and rules: {shows}", _RULES, guards, connections=connections)


SCENARIOS: Final = (
    Scenario("proxy", "no guard", _PROXIES, Guards()),
    Scenario("limits", "rate and concurrency", _PROXIES, Guards(limits=True)),
    Scenario("token", "limits, the same token again", _VERIFIERS, Guards(limits=True, token=True)),
    Scenario(
        "token-new",
        "limits, a token not seen before",
        _VERIFIERS,
        Guards(limits=True, token=True),
        differs="token",
    ),
    Scenario(
        "routes-10000",
        "as token, of 10,000 routes each request another",
        _GATEWAY,
        Guards(limits=True, token=True, routes=ROUTES),
        differs="route",
        prefill=ROUTES,
    ),
    Scenario(
        "addresses-1000000",
        "as token, 1,000,000 networks denied",
        _GATEWAY,
        Guards(limits=True, token=True, denied=DENIED),
    ),
    Scenario(
        "clients-100000",
        "as token, of 100,000 clients each request another's",
        _GATEWAY,
        Guards(limits=True, token=True, forwarded=True, lasting=True),
        differs="client",
        prefill=CLIENTS,
    ),
    _rules("get", "the same GET again"),
    _rules("get-random", "a GET with 5 arguments, names and values not seen before"),
    _rules("json", "an order as JSON"),
    _rules("prose", "a form with what a person wrote"),
    # Few enough that a peer with a tenth of a second of work for each answers some of them in any run.
    _rules("form-250", "a form of 250 fields, the names known, the values not", 4),
    _rules("form-950", "a form of 950 fields", 1),
    _rules("json-deep", "JSON of 30 levels", 4),
    _rules("attacks", "nothing but attacks"),
    _rules("mixed", "70 % GET, 20 % POST, 10 % attacks"),
    Scenario(
        "rules-1000",
        "as get-random, 1,000 more rules that don't match",
        _GATEWAY,
        Guards(limits=True, token=True, waf=True, own_rules=OWN_RULES),
    ),
    Scenario(
        "issue-token",
        "a token service is asked for tokens",
        ("bartizan", "bartizan-eddsa", "book"),
        None,
        base="book",
    ),
)


def select(only: str) -> tuple[Scenario, ...]:
    """Return the scenarios of a comma separated list of names, all of them for an empty one.

    Raises:
        ValueError: if there is no scenario of a name.
    """
    names = {name.strip() for name in only.split(",")} - {""}
    known = [scenario.name for scenario in SCENARIOS]
    for name in sorted(names - set(known)):
        raise ValueError(f"there is no scenario {name!r}; there are: {', '.join(known)}")
    return tuple(scenario for scenario in SCENARIOS if not names or scenario.name in names)


def guards_of(scenario: Scenario, target: str) -> Guards:
    """Return what a proxy has to do."""
    assert scenario.guards is not None
    if target in CRS4.values():
        return replace(scenario.guards, rules=crs4())
    if target != TWIN:
        return scenario.guards
    denied = min(FEW, scenario.guards.denied)
    own_rules = min(FEW, scenario.guards.own_rules)
    return replace(scenario.guards, routes=FEW, denied=denied, lasting=False, own_rules=own_rules)


def path_of(scenario: Scenario) -> str:
    """Return the path that requests ask for, with a hole in it where it is the route that differs."""
    assert scenario.guards is not None
    number = HOLE if scenario.differs == "route" else str(FEW // 2)
    return f"/service-{number}/users"


def client_address(number: int) -> str:
    """Return the address of one of many clients."""
    return str(IPv4Address("10.0.0.0") + number)


def load_of(scenario: Scenario, tokens: Tokens, folder: Path, *, few: bool = False) -> Load:
    """Write the files that wrk reads, and return what proxies are driven with.

    All scenarios send the three headers that a plain client sends, and the token where one is asked for.

    Args:
        scenario: the scenario.
        tokens: for it.
        folder: for the files.
        few: whether routes or clients are few.
    """
    assert scenario.guards is not None
    headers = [("Host", HOST), ("User-Agent", "bench/1.0"), ("Accept", "*/*")]
    if scenario.guards.token:
        headers.append(("Authorization", f"Bearer {HOLE if scenario.differs == 'token' else tokens.good}"))
    if scenario.differs == "client":
        headers.append(("X-Forwarded-For", HOLE))
    if scenario.guards.waf:
        sent = [replace(one, headers=(*headers, *one.headers)) for one in REQUESTS[scenario.name]]
        return replace(Load.written(sent, folder), connections=scenario.connections)
    request = Request(path_of(scenario), tuple(headers))
    if scenario.differs is None:
        return Load.written(request, folder)
    if scenario.differs == "token":
        return Load.written(request, folder, tokens.all)
    values = folder / "values"
    values.write_text("".join(f"{value}\n" for value in _values(scenario, few=few)), encoding="ascii")
    return Load.written(request, folder, values)


def _values(scenario: Scenario, *, few: bool) -> Iterator[str]:
    if scenario.differs == "route":
        return map(str, range(FEW if few else ROUTES))
    return map(client_address, range(FEW if few else CLIENTS))
