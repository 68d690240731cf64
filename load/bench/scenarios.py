"""The scenarios: who takes part, what the proxies have to do, and what is sent to them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from load.bench.peers.target import Guards
from load.bench.tokens import Tokens
from load.bench.wrk import Load

ROUTES: Final = 10_000
DENIED: Final = 1_000_000
CLIENTS: Final = 100_000

Values = Callable[[Tokens], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One comparison.

    Attributes:
        name: as on the command line and in the report.
        shows: what it is about, for people.
        targets: who takes part, the gateway first.
        guards: what they have to do.
        hole: what differs from request to request: nothing, the token, the route or the client.
        prefill: how many requests are sent at least before anything is measured.
    """

    name: str
    shows: str
    targets: tuple[str, ...]
    guards: Guards
    hole: str | None = None
    prefill: int = 0


_TOKEN: Final = Guards(limits=True, token=True)
_MANY: Final = ("bartizan", "nginx")

SCENARIOS: Final = (
    Scenario("proxy", "no guard", ("bartizan", "nginx", "haproxy", "envoy"), Guards()),
    Scenario(
        "limits", "rate and concurrency", ("bartizan", "nginx", "haproxy", "envoy"), Guards(limits=True)
    ),
    Scenario(
        "token",
        "rate, concurrency, one RS512 token again and again",
        ("bartizan", "nginx", "haproxy", "envoy", "envoy-cache"),
        _TOKEN,
    ),
    Scenario(
        "token-new",
        "rate, concurrency, an RS512 token never seen before",
        ("bartizan", "nginx", "haproxy", "envoy", "envoy-cache"),
        _TOKEN,
        hole="token",
    ),
    Scenario(
        "routes-10000",
        "token, each request on another of 10,000 routes",
        _MANY,
        Guards(limits=True, token=True, routes=ROUTES),
        hole="route",
        prefill=ROUTES,
    ),
    Scenario(
        "addresses-1000000",
        "token, 1,000,000 networks denied",
        _MANY,
        Guards(limits=True, token=True, denied=DENIED),
    ),
    Scenario(
        "clients-100000",
        "token, each request of another of 100,000 clients with live counters",
        _MANY,
        Guards(limits=True, token=True, many_clients=True),
        hole="client",
        prefill=CLIENTS,
    ),
)


def path_of(scenario: Scenario) -> str:
    """Return the path that requests ask for, `{}` in it where it is the route that differs."""
    number = "{}" if scenario.hole == "route" else str(scenario.guards.routes // 2)
    return f"/service-{number}/users"


def select(only: str) -> tuple[Scenario, ...]:
    """Return the scenarios of a comma separated list of names, all of them for an empty one.

    Raises:
        ValueError: if there is no scenario of a name.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise ValueError(f"there is no scenario {name!r}; there are: {', '.join(known)}")
    return tuple(scenario for scenario in SCENARIOS if not names or scenario.name in names)


def write_load(scenario: Scenario, tokens: Tokens, folder: Path) -> Load:
    """Write the files that wrk reads, and return what it is to send.

    All scenarios send the same three headers that a plain client has, and the token where one is asked for.
    """
    lines = [f"GET {path_of(scenario)} HTTP/1.1", "Host: api.example.com"]
    lines += ["User-Agent: bench/1.0", "Accept: */*"]
    if scenario.guards.token:
        lines.append(f"Authorization: Bearer {'{}' if scenario.hole == 'token' else tokens.good}")
    if scenario.hole == "client":
        lines.append("X-Forwarded-For: {}")
    template = folder / "request"
    template.write_bytes("".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii"))
    if scenario.hole is None:
        return Load(template)
    if scenario.hole == "token":
        return Load(template, tokens.all)
    values = folder / "values"
    values.write_text("".join(f"{value}\n" for value in _values(scenario)), encoding="ascii")
    return Load(template, values)


def _values(scenario: Scenario) -> Iterator[str]:
    if scenario.hole == "route":
        return (str(number) for number in range(scenario.guards.routes))
    first = int(IPv4Address("10.0.0.0"))
    return (str(IPv4Address(first + number)) for number in range(CLIENTS))
