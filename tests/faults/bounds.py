"""How long and how much the tests of faults run: the one place that holds both sets of bounds."""

import os
from dataclasses import dataclass
from typing import Final

VARIABLE: Final = "FAULTS"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how much.

    Attributes:
        timeout: seconds after which pytest ends a test that hangs.
        kills: how many times a process of the gateway is killed.
        service_kills: how many times a service behind it is; each start of one takes a second or two.
        reloads: how many times the policy is reloaded under load.
        patient: whether time-outs of half a minute and a minute are waited for.
        slow_clients: how many clients of each slow kind there are at once.
        half_heads: how many connections one address keeps with half a head on each.
        idle_connections: how many connections idle at once.
        steady: seconds of load over which memory must not climb.
        rounds: how often each broken answer of a service is met.
        answers: how many answers come while a service is slow, or cuts half of them.
    """

    timeout: float
    kills: int
    service_kills: int
    reloads: int
    patient: bool
    slow_clients: int
    half_heads: int
    idle_connections: int
    steady: float
    rounds: int
    answers: int


BOUNDS: Final = {
    # `make test`: a file of tests takes seconds.
    "short": Bounds(
        timeout=120,
        kills=2,
        service_kills=1,
        reloads=5,
        patient=False,
        slow_clients=100,
        half_heads=1000,
        idle_connections=1000,
        steady=8,
        rounds=1,
        answers=400,
    ),
    # `make faults`.
    "long": Bounds(
        timeout=1800,
        kills=20,
        service_kills=10,
        reloads=200,
        patient=True,
        slow_clients=900,
        half_heads=5000,
        idle_connections=5000,
        steady=600,
        rounds=20,
        answers=20_000,
    ),
}


def chosen() -> str:
    """Return the name of the set of bounds that the environment asks for; the short ones unless it does."""
    name = os.environ.get(VARIABLE, "short")
    if name not in BOUNDS:
        raise ValueError(f"{VARIABLE} is {name!r}; it must be one of: {', '.join(BOUNDS)}")
    return name
