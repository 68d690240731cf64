"""Looks at a proxy's answers before it is measured: one that lets all through is quickly faster."""

import re
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import httpx

from load.bench.backend import BODY
from load.bench.peers.bartizan import LASTING_BURST
from load.bench.peers.target import Guards, Site, Target
from load.bench.scenarios import HOST, TWIN, Scenario, client_address, guards_of, path_of
from load.bench.tls import Tls
from load.bench.tokens import Tokens
from load.bench.traffic import WORD, Load
from tests.support.raw import exchange, status_of

PATIENCE: Final = 30.0
_SOME_WORD: Final = b"sunflower"
_REMAINING: Final = re.compile(r";r=(\d+)")


class CheckError(Exception):
    """A target does not answer as it must."""


def check_answers(target: Target, scenario: Scenario, tokens: Tokens, tls: Tls, *, verifies: bool) -> None:
    """Ask with and without a good token.

    Args:
        target: whom.
        scenario: what it is set up for.
        tokens: the good one and a forged one.
        tls: its certificate.
        verifies: whether it can verify a token, and so must.

    Raises:
        CheckError: if an answer is not as it must be.
    """
    assert scenario.guards is not None
    path = path_of(scenario).format(guards_of(scenario, TWIN).routes - 1)
    bearer = {"Authorization": f"Bearer {tokens.good}"} if scenario.guards.token else {}
    with _client(target, tls) as client:
        deadline = time.monotonic() + PATIENCE
        # The gateway fetches the key set in the background.
        while (answer := client.get(path, headers=bearer)).status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
        _expect(answer, {200}, "the good request")
        if answer.text != BODY:
            raise CheckError("the good request gets another body than the backend's")
        if scenario.guards.token and verifies:
            _expect(client.get(path), {401, 403}, "a request without a token")
            forged = {"Authorization": f"Bearer {tokens.forged}"}
            _expect(client.get(path, headers=forged), {401, 403}, "a request with a forged token")


def check_verdicts(target: Target, load: Load, tls: Tls) -> None:
    """Send each of the requests once, and see that attacks are refused and nothing else is.

    All who run rules must so come to the same verdict on each request, or what they cost can't be compared.

    Args:
        target: whom.
        load: what it is driven with; where a part of it must be refused, that is the attacks.
        tls: its certificate.

    Raises:
        CheckError: if a verdict is another.
    """
    port = int(target.url.rpartition(":")[2])
    for request in dict.fromkeys(load.requests):
        data = request.raw().replace(WORD.encode(), _SOME_WORD)
        status = status_of(exchange(port, data, tls=tls.context()))
        wanted = 403 if request.refused and load.refused else 200
        if status != wanted:
            what = "an attack" if request.refused else "a good request"
            shown = f"{request.method} {request.path[:80]} {request.body[:80]}".strip()
            raise CheckError(f"{what} gets {status} instead of {wanted}: {shown}")


def check_limits(start: Callable[[Site, Guards], Target], site: Site) -> None:
    """Start a proxy with its limits at one, and see that they refuse.

    The configuration is the one that is measured but for these numbers.

    Raises:
        CheckError: if a limit is none.
    """
    folders = [site.folder / name for name in ("rate", "concurrency")]
    for folder in folders:
        folder.mkdir(mode=0o755)
    rate, concurrency = (replace(site, folder=folder) for folder in folders)
    with start(rate, Guards(limits=True, rate=1, burst=1)) as target, _client(target, site.tls) as client:
        statuses = [client.get("/service-5/users").status_code for _ in range(6)]
        if statuses[0] != 200 or not {429, 503} & set(statuses):
            raise CheckError(f"its rate limit of one a second makes six requests get {statuses}")
    with (
        start(concurrency, Guards(limits=True, concurrency=1)) as target,
        _client(target, site.tls) as client,
    ):
        first = client.get("/service-5/users")
        _expect(first, {200}, "a request alone")
        host, _, port = target.url.removeprefix("https://").partition(":")
        with (
            socket.create_connection((host, int(port)), timeout=10) as plain,
            site.tls.context().wrap_socket(plain, server_hostname=host) as slow,
        ):
            slow.sendall(f"GET /service-5/slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            time.sleep(0.3)  # until it is under way
            _expect(client.get("/service-5/users"), {429, 503}, "a second request at once, over the limit,")


def check_counters(target: Target, scenario: Scenario, tokens: Tokens, tls: Tls, sample: int = 100) -> None:
    """See that the gateway still has a counter of each of many clients, by what it says is left to them.

    Raises:
        CheckError: if one of those asked for is new to it.
    """
    bearer = {"Authorization": f"Bearer {tokens.good}"}
    with _client(target, tls) as client:
        for number in range(0, scenario.prefill, scenario.prefill // sample):
            headers = {**bearer, "X-Forwarded-For": client_address(number)}
            answer = client.get(path_of(scenario), headers=headers)
            left = _REMAINING.search(answer.headers.get("RateLimit", ""))
            # This request took one; one before must have taken another.
            if left is None or int(left[1]) > LASTING_BURST - 2:
                raise CheckError(f"the counter of {headers['X-Forwarded-For']} does not live")


def _client(target: Target, tls: Tls) -> httpx.Client:
    return httpx.Client(base_url=target.url, headers={"Host": HOST}, verify=tls.context(), timeout=20)


def _expect(answer: httpx.Response, statuses: set[int], what: str) -> None:
    if answer.status_code not in statuses:
        wanted = " or ".join(map(str, sorted(statuses)))
        raise CheckError(f"{what} gets {answer.status_code} instead of {wanted}")
