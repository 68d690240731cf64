"""Classes of routes: ten thousand routes are not ten thousand nginx locations."""

from collections.abc import Iterable
from dataclasses import dataclass

from bartizan.policy import ResolvedRoute


@dataclass(frozen=True, slots=True)
class RouteClass:
    """What nginx must know of a route by itself.

    Attributes:
        upstream: the name of the upstream, which brings time-outs and TLS settings.
        body: the body cap in bytes.
        cors: whether the gateway speaks for the upstream to pages of other origins.
    """

    upstream: str
    body: int
    cors: bool


def class_of(route: ResolvedRoute) -> RouteClass:
    """Return the class of a route."""
    return RouteClass(upstream=route.upstream, body=route.body, cors=route.cors is not None)


def classify(routes: Iterable[ResolvedRoute]) -> dict[RouteClass, str]:
    """Return each class that some route needs, with its name, in the order of the routes."""
    names: dict[RouteClass, str] = {}
    for route in routes:
        names.setdefault(class_of(route), f"c{len(names) + 1}")
    return names
