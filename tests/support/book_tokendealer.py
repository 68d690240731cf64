"""The token service as the book teaches it, for comparison: the key file is read and parsed on every request.

It is kept faithful in what costs time and in what was wrong with it, and runs on the same hypercorn and
uvloop as ours. Never put it on a network.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import jwt
import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, abort, request
from quart.typing import ResponseReturnValue

LIFETIME = 24 * 3600
SECRETS = {"bench": "not-a-secret-at-all-but-of-the-same-length"}


def create_book_app(
    private_key_path: Path, public_key_path: Path, url: str = "https://localhost:8443"
) -> Quart:
    """Return the book's application.

    Args:
        private_key_path: An RSA private key in PEM.
        public_key_path: Its public key in PEM.
        url: The issuer.
    """
    app = Quart("book")

    def bad_request(description: str) -> ResponseReturnValue:
        return {"error": description}, 400

    @app.post("/oauth/token")
    async def create_token() -> ResponseReturnValue:
        key = private_key_path.read_text().strip()  # noqa: ASYNC240  as the book does
        try:
            data = await request.form
            if data.get("grant_type") != "client_credentials":
                return bad_request(f"Wrong grant_type {data.get('grant_type')}")
            if SECRETS[data["client_id"]] != data["client_secret"]:
                return abort(401)
            now = int(time.time())
            claims = {"iss": url, "aud": data.get("audience", ""), "iat": now, "exp": now + LIFETIME}
            return {"access_token": jwt.encode(claims, key, algorithm="RS512")}
        except Exception:
            return bad_request("Unable to create a token")

    @app.get("/.well-known/jwks.json")
    async def jwks() -> ResponseReturnValue:
        key = public_key_path.read_text().strip()  # noqa: ASYNC240
        return {"keys": [{"alg": "RS512", "e": "AQAB", "n": key, "kty": "RSA", "use": "sig"}]}

    @app.post("/verify_token")
    async def verify_token() -> ResponseReturnValue:
        key = public_key_path.read_text()  # noqa: ASYNC240
        try:
            data = await request.form
            claims: dict[str, Any] = jwt.decode(
                data["access_token"], key, algorithms=["RS512"], audience=data.get("audience", "")
            )
        except Exception:
            return bad_request("Unable to verify the token")
        return claims

    return app


def main() -> None:
    """Serve the book's application on 127.0.0.1."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--private-key", type=Path, required=True)
    parser.add_argument("--public-key", type=Path, required=True)
    arguments = parser.parse_args()
    config = Config()
    config.bind = [f"127.0.0.1:{arguments.port}"]
    config.accesslog = None
    config.keep_alive_max_requests = 1_000_000
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(create_book_app(arguments.private_key, arguments.public_key), config))


if __name__ == "__main__":
    main()
