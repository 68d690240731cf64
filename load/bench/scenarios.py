"""The scenarios: who takes part, what the proxies have to do, and what is sent to them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, Literal

from load.bench.peers.target import Guards
from load.bench.tokens import Tokens
from load.bench.traffic import HOLE, Load, Request

HOST: Final = "api.example.com"
ROUTES: Final = 10_000
DENIED: Final = 1_000_000
CLIENTS: Final = 100_000

# The gateway once more, with the same traffic to few routes, from few clients, with few networks denied.
TWIN: Final = "bartizan-10"
FEW: Final = 10


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
    """

    name: str
    shows: str
    targets: tuple[str, ...]
    guards: Guards | None
    base: str = "nginx"
    differs: Literal["token", "route", "client"] | None = None
    prefill: int = 0


_PROXIES: Final = ("bartizan", "nginx", "haproxy", "envoy")
_VERIFIERS: Final = (*_PROXIES, "envoy-cache")
_GATEWAY: Final = ("bartizan", TWIN, "nginx")

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
    if target != TWIN:
        return scenario.guards
    denied = min(FEW, scenario.guards.denied)
    return replace(scenario.guards, routes=FEW, denied=denied, lasting=False)


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
