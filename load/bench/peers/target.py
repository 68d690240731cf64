"""What all peers have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from load.bench.tls import Tls
from load.bench.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Guards:
    """What a proxy has to do for each request besides forwarding it.

    The limits are so high that nothing is refused, but all is counted.

    Attributes:
        limits: count requests a second and requests at once, by the client's address.
        token: let only requests with a good access token through.
        routes: how many routes it tells apart.
        denied: how many networks it refuses.
        forwarded: count by the address in X-Forwarded-For.
        lasting: keep each counter for the whole run.
        rate: how many requests a second.
        burst: how many at once beyond that.
        concurrency: how many may be under way.
        waf: run the Core Rule Set.
        rules: which one; None for what Debian packages.
        own_rules: how many more rules, none of which matches what is sent.
    """

    limits: bool = False
    token: bool = False
    routes: int = 10
    denied: int = 0
    forwarded: bool = False
    lasting: bool = False
    rate: int = 1_000_000
    burst: int = 1_000
    concurrency: int = 1_000
    waf: bool = False
    rules: Path | None = None
    own_rules: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """Where a proxy stands.

    Attributes:
        folder: for its files; it is its own.
        backend: the port of the service behind it.
        tokens: what it must let pass, and the keys for that.
        tls: the certificate that it shows.
    """

    folder: Path
    backend: int
    tokens: Tokens
    tls: Tls


class Target(ABC):
    """What is measured; it starts when it is made."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Scheme, host and port of where requests go."""

    @abstractmethod
    def worker_pids(self) -> list[int]:
        """Return the processes whose time is the price of a request."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
