"""Where framing tricks are tried: a gateway, a relay that keeps what it forwards, and hypercorn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.backend import Backend
from tests.support.desync import Grid
from tests.support.gateway import Gateway
from tests.support.key_server import key_set
from tests.support.refusals import CLIENTS_FAULT
from tests.support.relay import Relay
from tests.support.service import Service
from tests.support.tokens import ISSUER, Issuer


def _policy(relay: Relay, jwks: Backend) -> dict[str, Any]:
    def route(path: str, *methods: str, **more: Any) -> dict[str, Any]:
        usual = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        return {"prefix": path, "methods": list(methods) or usual, "upstream": "data", "auth": "none", **more}

    nobody = {"allow": ["192.0.2.1"]}
    waits = {"limit": 100, "by": "address", "wait": 10}
    return {
        "workers": 1,  # so that connections to the service are shared as much as can be
        "listen": {"http": {"redirect": False}},
        "issuers": {"own": {"issuer": ISSUER, "jwks": jwks.url, "algorithms": ["ES256"]}},
        "upstreams": {"data": {"servers": [relay.url]}},
        "defaults": {
            "body": "64KiB",
            "rate": {"limit": "1000000/s", "burst": 1000000},
            "concurrency": {"limit": 10000, "by": "address"},
        },
        "routes": [
            route("/"),
            route("/closed", addresses=nobody),
            route("/token", auth={"issuer": "own", "audience": "data", "scopes": []}),
            route("/get-only", "GET"),
            route("/post-only", "POST"),
            route("/cors", cors={"origins": ["https://shop.example"]}),
            route("/waits", concurrency=waits),
            route("/waits/closed", concurrency=waits, addresses=nobody),
        ],
    }


@contextmanager
def house() -> Iterator[tuple[Grid, Relay]]:
    """Start all of it, and stop it again."""
    issuer = Issuer()
    with (
        Service("tests.support.recorder") as recorder,
        Relay(recorder.port) as relay,
        Backend(lambda _request: key_set(issuer)) as jwks,
        Gateway(_policy(relay, jwks)) as gateway,
    ):
        gateway.expect_error(CLIENTS_FAULT)
        yield Grid(gateway, recorder), relay
