"""The token service of this repository, as `tokendealer serve` runs it, with RS512 and with EdDSA."""

import json
from pathlib import Path
from typing import Any, Literal

import httpx
import jwt

from load.bench.peers.token_service import TokenService, tokendealer


class Tokendealer(TokenService):
    """A running token service that signs with RS512, as the book's does."""

    algorithm: Literal["RS512", "EdDSA"] = "RS512"

    def __init__(self, folder: Path) -> None:
        """Make a state folder with a client, start the service and wait until it listens."""
        state = folder / "state"
        tokendealer("init", "--state", state, "--algorithm", self.algorithm)
        added = tokendealer(
            *("clients", "add", "bench", "--state", state, "--json"),
            *("--scope", "users:read", "--scope", "users:write", "--audience", "data"),
        )
        serve = ("-m", "tokendealer", "serve", "--state", state, "--log", "json")
        form = {"scope": "users:read", **json.loads(added)}
        super().__init__(folder, form, *serve, "--algorithm", self.algorithm)

    def verify(self, token: str) -> dict[str, Any]:
        """Verify a token by the published key set."""
        keys = jwt.PyJWKSet.from_dict(httpx.get(f"{self.url}/.well-known/jwks.json").json())
        claims: dict[str, Any] = jwt.decode(token, keys.keys[0], algorithms=[self.algorithm], audience="data")
        assert claims["client_id"] == "bench", claims
        return claims


class TokendealerWithEdDSA(Tokendealer):
    """The same with the algorithm that costs the least."""

    algorithm = "EdDSA"
