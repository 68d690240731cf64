"""Token requests as a client makes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

from quart import Response
from quart.typing import TestClientProtocol as Client

FORM = "application/x-www-form-urlencoded"
TOKEN = "/oauth/token"


def basic(client_id: str, secret: str) -> str:
    """Return an Authorization header by RFC 6749 section 2.3.1: form-encode, join, base64."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


async def post(
    client: Client,
    form: Mapping[str, Any] | list[tuple[str, str]] | bytes,
    headers: Mapping[str, str] | None = None,
    path: str = TOKEN,
) -> Response:
    """Post a form, given as parameters or as the very bytes."""
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    answer = await client.post(path, data=body, headers={"Content-Type": FORM, **(headers or {})})
    assert isinstance(answer, Response)
    return answer
