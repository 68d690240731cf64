"""What the gateway's processor time and memory must be at most, against its peers in the same run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from load.bench.rows import Row, find
from load.bench.scenarios import CRS4, TWIN


@dataclass(frozen=True, slots=True)
class Verdict:
    """A budget and what was measured.

    Attributes:
        what: the budget, in words.
        most: what is allowed.
        measured: what it is.
    """

    what: str
    most: float
    measured: float

    @property
    def met(self) -> bool:
        """Whether it is within the budget."""
        return self.measured <= self.most


@dataclass(frozen=True, slots=True)
class _Budget:
    what: str
    most: float
    row: tuple[str, str]
    base: tuple[str, str] | None
    figure: Callable[[Row], float]
    beside_nginx: bool = False


def _cpu(what: str, most: float, row: tuple[str, str], base: tuple[str, str]) -> _Budget:
    return _Budget(what, most, row, base, lambda found: found.cpu_us)


_TOKEN: Final = ("token", "bartizan")


def _flat(many: str, few: str, scenario: str) -> tuple[_Budget, _Budget]:
    """Bound the price of a number: against few of them in the same traffic, and against `token`.

    `token` runs minutes before, on a machine that was faster or slower then by up to a third. Each is taken
    beside plain nginx of its own rounds, which drifts with it.
    """
    row = (scenario, "bartizan")
    beside = f"{many}: time of token, each beside plain nginx in its rounds"
    return (
        _cpu(f"{many}: time with {few}", 1.2, row, (scenario, TWIN)),
        replace(_cpu(beside, 1.2, row, _TOKEN), beside_nginx=True),
    )


_GATEWAY4: Final = CRS4["bartizan"]


def _against_modsecurity(scenario: str, times: int) -> tuple[_Budget, _Budget]:
    """Bound the price of rules against ModSecurity with the same rules, of either release."""
    return (
        _cpu(
            f"{scenario}, CRS 4: time of ModSecurity",
            1 / times,
            (scenario, _GATEWAY4),
            (scenario, CRS4["modsecurity"]),
        ),
        _cpu(
            f"{scenario}, CRS 3.3: time of ModSecurity",
            1 / times,
            (scenario, "bartizan"),
            (scenario, "modsecurity"),
        ),
    )


def _against_nginx(scenario: str, most: float) -> _Budget:
    row, base = (scenario, _GATEWAY4), (scenario, "nginx")
    return _cpu(f"{scenario}, CRS 4: time of plain nginx", most, row, base)


_BUDGETS: Final = (
    _cpu("token: time of plain nginx", 1.3, _TOKEN, ("token", "nginx")),
    _cpu("token: time of HAProxy", 0.5, _TOKEN, ("token", "haproxy")),
    _cpu("token: time of Envoy with its cache", 0.3, _TOKEN, ("token", "envoy-cache")),
    _cpu("token-new: time of HAProxy", 1.2, ("token-new", "bartizan"), ("token-new", "haproxy")),
    *_flat("10,000 routes", "10 routes", "routes-10000"),
    *_flat("1,000,000 denied networks", "10 networks", "addresses-1000000"),
    *_flat("100,000 clients", "10 clients", "clients-100000"),
    _cpu(
        "RS512 token issued: time of the book", 1 / 30, ("issue-token", "bartizan"), ("issue-token", "book")
    ),
    _cpu(
        "EdDSA token issued: time of the book",
        1 / 50,
        ("issue-token", "bartizan-eddsa"),
        ("issue-token", "book"),
    ),
    _against_nginx("get-random", 4),
    _against_nginx("json", 5),
    _against_nginx("form-250", 20),
    _against_nginx("attacks", 8),
    *(
        budget
        for scenario in ("get", "get-random", "json", "prose", "form-250")
        for budget in _against_modsecurity(scenario, 25)
    ),
    *(budget for scenario in ("attacks", "mixed") for budget in _against_modsecurity(scenario, 15)),
    _cpu("1,000 more rules: time with 10 more", 1.2, ("rules-1000", "bartizan"), ("rules-1000", TWIN)),
    _Budget(
        "get-random, CRS 4: MiB of the worker (PSS)",
        80,
        ("get-random", _GATEWAY4),
        None,
        lambda found: found.memory.proportional_mib,
    ),
    _Budget(
        "100,000 clients: MiB of the worker besides the shared store",
        40,
        ("clients-100000", "bartizan"),
        None,
        lambda found: found.memory.own_mib,
    ),
)


def _figure(rows: Sequence[Row], budget: _Budget, of: tuple[str, str]) -> float | None:
    row, nginx = find(rows, *of), find(rows, of[0], "nginx")
    if row is None or (budget.beside_nginx and nginx is None):
        return None
    return budget.figure(row) / (budget.figure(nginx) if budget.beside_nginx and nginx else 1)


def judge(rows: Sequence[Row]) -> Iterator[Verdict]:
    """Yield a verdict on each budget whose rows were measured."""
    for budget in _BUDGETS:
        measured = _figure(rows, budget, budget.row)
        base = _figure(rows, budget, budget.base) if budget.base else 1.0
        if measured is not None and base is not None:
            yield Verdict(budget.what, budget.most, measured / base)
