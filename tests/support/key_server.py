"""An issuer's key set behind a gateway: what its address answers, and what the gateway makes of it."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway
from tests.support.tokens import Issuer, SigningKey

ALGORITHMS = ["RS512", "ES256", "EdDSA"]
PATIENCE = 60.0


def fresh_issuer(iss: str = "https://issuer.test") -> Issuer:
    """An issuer with a key for each of ALGORITHMS."""
    return Issuer(issuer=iss, keys={alg: SigningKey.make(alg) for alg in ALGORITHMS})


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; fail, and say for what was waited, if it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.02)


def document(body: bytes, max_age: int = 3600, *fields: tuple[str, str]) -> Response:
    """An answer of 200 that is fresh for so many seconds."""
    return Response(headers=(("Cache-Control", f"max-age={max_age}"), *fields), body=body)


def key_set(issuer: Issuer, max_age: int = 3600, *fields: tuple[str, str]) -> Response:
    """The issuer's keys, as they should be answered."""
    return document(json.dumps(issuer.jwks()).encode(), max_age, *fields)


def hang_up() -> Response:
    """The connection is closed without an answer."""
    return Response(takeover=lambda connection: connection.shutdown(socket.SHUT_RDWR))


class KeyServer:
    """An issuer's address.

    Attributes:
        issuer: whose keys are answered.
        max_age: for how many seconds they are said to be fresh.
        answer: what is answered instead; None for the keys.
        server: the backend, with what was asked.
    """

    def __init__(self, issuer: Issuer, max_age: int = 3600, tls: ssl.SSLContext | None = None) -> None:
        self.issuer = issuer
        self.max_age = max_age
        self.answer: Callable[[Request], Response] | None = None
        self.server = Backend(self._respond, tls)

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"{self.server.url}/jwks.json"

    def _respond(self, request: Request) -> Response:
        return self.answer(request) if self.answer else key_set(self.issuer, self.max_age)

    def go_away(self) -> None:
        """Answer nothing any more."""
        self.answer = lambda _request: hang_up()

    def come_back(self) -> None:
        """Answer the keys again."""
        self.answer = None

    def __enter__(self) -> KeyServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()


def policy(data: Backend, jwks: dict[str, tuple[str, str]], **issuer: Any) -> dict[str, Any]:
    """A route for each issuer, which is given by its name, its iss and the address of its keys."""
    return {
        "issuers": {
            name: {"issuer": iss, "jwks": url, "algorithms": ALGORITHMS, **issuer}
            for name, (iss, url) in jwks.items()
        },
        "upstreams": {"data": {"servers": [data.url]}},
        "defaults": {"rate": {"limit": "10000/s", "burst": 10000}},
        "routes": [
            {
                "prefix": f"/{name}",
                "methods": ["GET"],
                "upstream": "data",
                "auth": {"issuer": name, "audience": "data", "scopes": ["users:read"]},
            }
            for name in jwks
        ],
    }


def one(data: Backend, keys: KeyServer, **issuer: Any) -> dict[str, Any]:
    """A policy with the one issuer `one`."""
    return policy(data, {"one": (keys.issuer.issuer, keys.url)}, **issuer)


def statuses(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """What /status says of each issuer, as the worker that answers knows it."""
    issuers: dict[str, dict[str, Any]] = httpx.get(f"{gateway.operator}/status").json()["issuers"]
    return issuers


def ask(gateway: Gateway, token: str | None, path: str = "/one") -> httpx.Response:
    """Send a request over a new connection, which any worker may take."""
    with gateway.client() as client:
        return client.get(path, headers={"Authorization": f"Bearer {token}"} if token else {})


def accepts(gateway: Gateway, token: str, path: str = "/one") -> bool:
    """Whether a token is let through."""
    return ask(gateway, token, path).status_code == 200
