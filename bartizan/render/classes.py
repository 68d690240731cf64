"""Classes of routes: ten thousand routes are not ten thousand nginx locations."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bartizan.policy import Concurrency, Rate, ResolvedRoute, Waf

# How many requests an address may have under way on all routes that do not say.
CONNECTIONS_OF_AN_ADDRESS: Final = 1000


@dataclass(frozen=True, slots=True)
class RouteClass:
    """What nginx must know of a route by itself.

    Attributes:
        upstream: the name of the upstream, which brings time-outs and TLS settings.
        body: the body cap in bytes.
        cors: whether the gateway speaks for the upstream to pages of other origins.
        waits: whether a guard may make a request wait, which it can do in nginx's access phase only.
        counted: whether nginx must count how many requests an address has under way, since no guard does.
        window: how many bytes of a body a guard reads, in the access phase, too; 0: none reads it.
    """

    upstream: str
    body: int
    cors: bool
    waits: bool
    counted: bool
    window: int


def class_of(route: ResolvedRoute) -> RouteClass:
    """Return the class of a route."""
    return RouteClass(
        upstream=route.upstream,
        body=route.body,
        cors=route.cors is not None,
        waits=waits(route),
        counted=not counts_addresses(route),
        window=window(route),
    )


def waits(route: ResolvedRoute) -> bool:
    """Return whether a guard of a route may make a request wait. In observe mode none does."""
    return any(
        guard.mode == "enforce"
        and (
            (isinstance(guard.settings, Rate) and guard.settings.excess == "delay")
            or (isinstance(guard.settings, Concurrency) and guard.settings.wait > 0)
        )
        for guard in route.plan
    )


def window(route: ResolvedRoute) -> int:
    """Return how many bytes of a body a guard of a route reads. One that observes reads them, too."""
    return max((guard.settings.window for guard in route.plan if isinstance(guard.settings, Waf)), default=0)


def counts_addresses(route: ResolvedRoute) -> bool:
    """Return whether a guard of a route bounds how many requests an address has under way, as nginx would."""
    return any(
        guard.mode == "enforce"
        and isinstance(guard.settings, Concurrency)
        and guard.settings.by == "address"
        and guard.settings.limit + guard.settings.wait <= CONNECTIONS_OF_AN_ADDRESS
        for guard in route.plan
    )


def classify(routes: Sequence[ResolvedRoute]) -> dict[RouteClass, str]:
    """Return each class that some route needs, with its name, in the order of the routes."""
    names: dict[RouteClass, str] = {}
    for route in routes:
        names.setdefault(class_of(route), f"c{len(names) + 1}")
    return names


def front_of(routes: Sequence[ResolvedRoute]) -> str | None:
    """Return the name of the class of most routes whose requests nginx can forward as they came.

    They need no other location than the one that all begin with, which spares nginx two steps. Routes whose
    guards may wait do so in a phase of their location, and those that speak to other origins add to answers.
    Where a guard reads bodies, a request without one needs no other location either.
    """
    names = classify(routes)
    counts = Counter(found for found in map(class_of, routes) if not (found.waits or found.cors))
    return names[counts.most_common(1)[0][0]] if counts else None
