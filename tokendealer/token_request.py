"""Asking a running token service for a token, as `tokendealer token` does."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tokendealer.problems import PersonError
from tokendealer.rfc8414 import OAUTH_PATH

SECONDS = 10


def fetch_token(credentials: Mapping[str, str], url: str, ca: Path | None, scope: str | None) -> str:
    """Return an access token for a client.

    Args:
        credentials: `client_id`, `client_secret`, `scope` and `audience`, as `demo-client.json` has them.
        url: The origin of the token service or of the gateway before it.
        ca: The certificate authority to trust; None trusts the system's.
        scope: Less than the client's scope, or None for all of it.

    Raises:
        PersonError: The service is not there, is not trusted, or refuses.
    """
    endpoint = url.rstrip("/") + OAUTH_PATH
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials["client_id"],
        "client_secret": credentials["client_secret"],
        "audience": credentials["audience"],
        "scope": credentials["scope"] if scope is None else scope,
    }
    try:
        # No proxies and no redirects: the secret goes to the named service or nowhere.
        with httpx.Client(verify=_trust(ca), timeout=SECONDS, trust_env=False) as client:
            answer = client.post(endpoint, data=form)
        body: Any = answer.json()
        if answer.status_code == httpx.codes.OK:
            return str(body["access_token"])
        sentence = f"{endpoint} refuses with {answer.status_code}: {body['error_description']}"
    except httpx.InvalidURL as error:
        raise PersonError(f"{url!r} is not a URL: {error}") from error
    except httpx.HTTPError as error:
        raise PersonError(f"cannot get a token from {endpoint}: {error}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise PersonError(
            f"{endpoint} answers {answer.status_code} and not as a token service does"
        ) from error
    raise PersonError(sentence)


def _trust(ca: Path | None) -> ssl.SSLContext | bool:
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise PersonError(f"cannot read certificates from {ca}: {error.strerror or error}") from error
