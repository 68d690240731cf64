"""Every target by its name: what starts it, and whether this machine has it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from load.bench.peers.bartizan import Bartizan
from load.bench.peers.book import Book
from load.bench.peers.envoy import COMMAND, Envoy, EnvoyWithCache
from load.bench.peers.haproxy import Haproxy
from load.bench.peers.modsecurity import MODULE, Modsecurity
from load.bench.peers.nginx import Nginx
from load.bench.peers.target import Guards, Site, Target
from load.bench.peers.token_service import TokenService
from load.bench.peers.tokendealer import Tokendealer, TokendealerWithEdDSA
from load.bench.scenarios import CRS4, TWIN, crs4


@dataclass(frozen=True, slots=True)
class Proxy:
    """A kind of proxy.

    Attributes:
        start: starts one.
        command: what must be installed for it.
        verifies: whether it can verify a token.
        needs: a file that must be there.
    """

    start: Callable[[Site, Guards], Target]
    command: str | Path = "nginx"
    verifies: bool = True
    needs: Path | None = None


PROXIES: Final = {
    "bartizan": Proxy(Bartizan),
    TWIN: Proxy(Bartizan),
    "nginx": Proxy(Nginx, verifies=False),
    "modsecurity": Proxy(Modsecurity, verifies=False, needs=MODULE),
    CRS4["bartizan"]: Proxy(Bartizan),
    CRS4["modsecurity"]: Proxy(Modsecurity, verifies=False, needs=MODULE),
    "haproxy": Proxy(Haproxy, "haproxy"),
    "envoy": Proxy(Envoy, COMMAND),
    "envoy-cache": Proxy(EnvoyWithCache, COMMAND),
}

TOKEN_SERVICES: Final[dict[str, Callable[[Path], TokenService]]] = {
    "bartizan": Tokendealer,
    "bartizan-eddsa": TokendealerWithEdDSA,
    "book": Book,
}


def missing() -> dict[str, str]:
    """Return what must be left out here: the target's name, and why."""
    left_out = {}
    for name, proxy in PROXIES.items():
        if shutil.which(proxy.command) is None:
            left_out[name] = f"{Path(proxy.command).name} is not installed"
        elif proxy.needs is not None and not proxy.needs.exists():
            left_out[name] = f"{proxy.needs.name} is not installed"
        elif name in CRS4.values() and crs4() is None:
            left_out[name] = "CORPORA names no folder with a crs-4.* in it"
    return left_out
