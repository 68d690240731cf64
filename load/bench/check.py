"""Looks at a target's answers before it is measured: a proxy that lets all through, or nothing, is quickly faster."""

import time
from typing import Final

import httpx

from load.bench.backend import BODY
from load.bench.peers.target import Target
from load.bench.scenarios import Scenario, path_of
from load.bench.tokens import Tokens

PATIENCE: Final = 30.0


class CheckError(Exception):
    """A target does not answer as it must."""


def check(target: Target, scenario: Scenario, tokens: Tokens, *, verifies: bool) -> None:
    """Ask with and without a good token.

    Args:
        target: whom.
        scenario: what it is set up for.
        tokens: the good one and a forged one.
        verifies: whether it can verify a token, and so must.

    Raises:
        CheckError: if an answer is not as it must be.
    """
    path = path_of(scenario).format(scenario.guards.routes - 1)
    bearer = {"Authorization": f"Bearer {tokens.good}"} if scenario.guards.token else {}
    # A name for each, or the reader could not tell which was meant.
    with httpx.Client(base_url=target.url, headers={"Host": "api.example.com"}, timeout=20) as client:
        deadline = time.monotonic() + PATIENCE
        while (answer := client.get(path, headers=bearer)).status_code == 503:
            # The gateway fetches the key set in the background.
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        _expect(answer, {200}, "the good request")
        if answer.text != BODY:
            raise CheckError("the good request gets another body than the backend's")
        if scenario.guards.token and verifies:
            _expect(client.get(path), {401, 403}, "a request without a token")
            forged = {"Authorization": f"Bearer {tokens.forged}"}
            _expect(client.get(path, headers=forged), {401, 403}, "a request with a forged token")


def _expect(answer: httpx.Response, statuses: set[int], what: str) -> None:
    if answer.status_code not in statuses:
        wanted = " or ".join(map(str, sorted(statuses)))
        raise CheckError(f"{what} gets {answer.status_code} instead of {wanted}")
