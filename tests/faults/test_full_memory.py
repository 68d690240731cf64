"""Shared memory that is full: a counted event with an answer of its own, and no limit that opens.

The stores have fixed sizes that no policy changes, so nginx is given smaller ones here. Single entries of a
full store of limits: tests/integration/test_limits_store.py.
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.support.altered_nginx import altered_nginx
from tests.support.backend import Backend, Request, Response
from tests.support.exposition import Family, parse
from tests.support.gateway import Gateway, wait_for
from tests.support.key_server import accepts, ask, document, fresh_issuer, statuses, until
from tests.support.key_server import policy as issuers_policy
from tests.support.raw import status_of
from tests.support.tokens import Issuer
from tests.support.wire import port_of

NEVER: Final = {"limit": "1/h", "burst": 1, "by": "header:x-key"}
SOON: Final = {"limit": "1/s", "burst": 1, "by": "header:x-key"}
PLENTY: Final = {"limit": "100000/s", "burst": 100000, "by": "address"}


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


def route(prefix: str, **more: Any) -> dict[str, Any]:
    return {"prefix": prefix, "methods": ["GET"], "upstream": "data", "auth": "none", "rate": PLENTY, **more}


def policy(backend: Backend, *routes: dict[str, Any]) -> dict[str, Any]:
    return {
        "listen": {"http": {"redirect": False}},
        "workers": 2,
        "upstreams": {"data": {"servers": [backend.url]}},
        "routes": list(routes),
    }


def metrics(gateway: Gateway) -> dict[str, Family]:
    return parse(httpx.get(f"{gateway.operator}/metrics").text)


# --- The limits' store -------------------------------------------------------------------------------------


@pytest.fixture
def limits(backend: Backend, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose limits' store has room for some hundred entries."""
    smaller = {"lua_shared_dict bartizan_limits 64m": "lua_shared_dict bartizan_limits 64k"}
    rules = policy(
        backend,
        route("/never", rate=NEVER),
        route("/soon", rate=SOON),
        route("/observed", rate={**NEVER, "mode": "observe"}),
        route("/inside", concurrency={"limit": 1, "by": "header:x-key"}),
        route("/known", rate={"limit": "3/h", "burst": 3, "by": "address"}),
    )
    with Gateway(rules, environment=altered_nginx(tmp_path, smaller)) as running:
        yield running


def get(client: httpx.Client, path: str, key: str) -> httpx.Response:
    return client.get(path, headers={"X-Key": key})


def fill(client: httpx.Client, path: str) -> list[str]:
    """Use new keys until there is no room for one; return those that found some."""
    for number in range(2000):
        if get(client, path, f"{path} {number}").status_code == 503:
            return [f"{path} {known}" for known in range(number)]
    raise AssertionError("the store takes everything")


def is_of(request_id: str, event: dict[str, Any]) -> bool:
    return bool(event["request_id"] == request_id)


def test_a_full_store_of_limits_opens_none(limits: Gateway, bounds: Bounds, figures: Figures) -> None:
    """Expected: who is new is refused (503 store_full, Retry-After); counters live on, and so do limits."""
    with limits.client() as client:
        assert get(client, "/known", "-").status_code == 200
        assert [get(client, "/never", "victim").status_code for _ in range(2)] == [200, 429]
        known = fill(client, "/never")
        assert len(known) > 20
        # An attacker who goes on with new keys gets nothing, and nothing of others is given up for him.
        attempts = Counter(get(client, "/never", f"more {n}").status_code for n in range(bounds.answers))
        assert attempts == {503: bounds.answers}
        assert {get(client, "/never", key).status_code for key in ("victim", *known)} == {429}
        assert get(client, "/known", "-").status_code == 200
        for path in ("/never", "/soon", "/inside"):
            answer = get(client, path, "new")
            assert answer.status_code == 503
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["code"] == "store_full"
            assert int(answer.headers["Retry-After"]) >= 1
            event = limits.wait_for_audit(partial(is_of, answer.json()["request_id"]))
            assert (event["decision"], event["code"], event["status"]) == ("refused", "store_full", 503)
        # Observed, it is told and refuses nobody.
        assert get(client, "/observed", "new").status_code == 200
        event = limits.wait_for_audit(lambda event: event["path"] == "/observed")
        assert (event["decision"], event["code"]) == ("observed", "store_full")
    full = metrics(limits)["bartizan_limits_full_total"].value()
    assert full >= bounds.answers + 5
    figures["live_counters"] = len(known) + 2
    figures["refused_with_503"] = bounds.answers + 4
    figures["counters_lost"] = 0
    figures["counted_as_full"] = full


def test_a_store_of_limits_that_empties_takes_new_ones(limits: Gateway) -> None:
    """Expected: as soon as buckets need not be kept any more there is room, without anybody's help."""
    with limits.client() as client:
        for number in range(500):
            get(client, "/soon", f"soon {number}")
        wait_for(lambda: metrics(limits)["bartizan_limits_flushed_total"].value() > 100)
        assert get(client, "/soon", "new").status_code == 200
        assert get(client, "/never", "new").status_code == 200


# --- Key sets ----------------------------------------------------------------------------------------------


def padded(issuer: Issuer, size: int) -> Response:
    keys = [{**key, "x-pad": "p" * size} for key in issuer.jwks()["keys"]]
    return document(json.dumps({"keys": keys}).encode(), 5)


def test_a_key_set_without_room_is_told_and_harms_no_other(
    backend: Backend, tmp_path: Path, figures: Figures
) -> None:
    """Expected: known keys serve on, no keys are 503, and other issuers know nothing of it.

    It is an alarm, counted, and the issuer is not asked more often for it.
    """
    issuers = {name: fresh_issuer(f"https://{name}.test") for name in ("large", "grown", "small")}
    sizes = {"large": 20_000, "grown": 100, "small": 100}
    smaller = {"lua_shared_dict bartizan_keys 4m": "lua_shared_dict bartizan_keys 64k"}

    def answer(request: Request) -> Response:
        name = request.target.strip("/")
        return padded(issuers[name], sizes[name])

    with Backend(answer) as keys:
        addresses = {name: (issuer.issuer, f"{keys.url}/{name}") for name, issuer in issuers.items()}
        rules = issuers_policy(backend, addresses)
        begun = time.monotonic()
        with Gateway(rules, environment=altered_nginx(tmp_path, smaller)) as gateway:
            gateway.expect_error("no new key set .*: the store of key sets: no memory")
            for name in ("grown", "small"):
                until(partial(accepts, gateway, issuers[name].token(), f"/{name}"), f"{name} has keys")
            sizes["grown"] = 20_000
            until(
                lambda: all(statuses(gateway)[name]["failures"] for name in ("large", "grown")), "it is told"
            )
            for name, error in ((name, statuses(gateway)[name]["error"]) for name in ("large", "grown")):
                assert error == "the store of key sets: no memory", name
            assert accepts(gateway, issuers["grown"].token("ES256"), "/grown"), "known keys serve on"
            assert accepts(gateway, issuers["small"].token("ES256"), "/small")
            refused = ask(gateway, issuers["large"].token(), "/large")
            assert (refused.status_code, refused.json()["code"]) == (503, "keys_unavailable")
            events = metrics(gateway)["bartizan_events_total"].value(event="key_set_fetch_failed")
            fetches = Counter(request.target for request in keys.requests)
            assert events >= 2
            assert fetches["/large"] <= 2 + (time.monotonic() - begun)
            sizes["grown"] = 100
            issuers["grown"].keys["new"] = issuers["grown"].keys["EdDSA"].other()
            until(lambda: statuses(gateway)["grown"]["generation"] == 2, "with room again it is taken")
    figures["fetches_of_the_set_without_room"] = fetches["/large"]
    figures["failures_counted"] = events


# --- Metrics -----------------------------------------------------------------------------------------------


def test_full_metrics_lose_counts_and_nothing_else(
    backend: Backend, tmp_path: Path, figures: Figures
) -> None:
    """Expected: all requests are answered and all workers ready; counts that were lost are an event."""
    smaller = {"lua_shared_dict bartizan_metrics 8m": "lua_shared_dict bartizan_metrics 64k"}
    rules = policy(backend, *(route(f"/{number}") for number in range(200)))
    with Gateway(rules, environment=altered_nginx(tmp_path, smaller)) as gateway:
        with gateway.client() as client:
            for _ in range(2):
                assert {client.get(f"/{number}").status_code for number in range(200)} == {200}

        def told() -> float:
            return metrics(gateway)["bartizan_events_total"].value(event="metrics_store_full")

        wait_for(told)
        assert httpx.get(f"{gateway.operator}/readyz").status_code == 200
        lost = told()
    figures["answered"] = 400
    figures["counts_lost_at_least"] = lost


# --- Connections -------------------------------------------------------------------------------------------


class Doors:
    """A backend's answers are held back until its doors open."""

    def __init__(self, backend: Backend) -> None:
        self._open = threading.Event()
        backend.respond = lambda _request: Response(takeover=self._hold)

    def _hold(self, connection: socket.socket) -> None:
        self._open.wait(60)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")

    def open(self) -> None:
        self._open.set()


def answered(clients: list[socket.socket]) -> list[socket.socket]:
    """Return those to whom something came."""
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(0)}
    return [client for client in clients if client.fileno() in ready]


def read_all(client: socket.socket) -> bytes:
    received = b""
    while chunk := client.recv(65536):
        received += chunk
    return received


def test_no_room_to_count_the_connections_of_one_more_address(tmp_path: Path, figures: Figures) -> None:
    """Expected: an address that can't be counted is refused as one with too many (429), and no other."""
    smaller = {"zone=bartizan_connections:8m": "zone=bartizan_connections:32k"}
    count = 600
    with (
        Backend() as backend,
        Gateway(policy(backend, route("/")), environment=altered_nginx(tmp_path, smaller)) as gateway,
        ExitStack() as stack,
    ):
        gateway.expect_error(r"ngx_slab_alloc\(\) failed: no memory")
        doors = Doors(backend)
        clients = []
        for number in range(count):
            source = (f"127.{1 + number // 200}.1.{1 + number % 200}", 0)
            address = ("127.0.0.1", port_of(gateway, tls=False))
            client = stack.enter_context(socket.create_connection(address, 60, source))
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            clients.append(client)
        wait_for(lambda: len(answered(clients)) + len(backend.requests) == count)
        refused = answered(clients)
        held = [client for client in clients if client not in refused]
        assert refused
        assert held
        for client in refused:
            answer = read_all(client)
            assert status_of(answer) == 429
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_many_connections"
        doors.open()
        assert {status_of(read_all(client)) for client in held} == {200}
        # Those who are counted no longer leave room for others.
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.9.9.9")) as other:
            assert other.get(f"http://127.0.0.1:{port_of(gateway, tls=False)}/").status_code == 200
        events = [event for event in gateway.audit() if event["code"] == "too_many_connections"]
    figures["addresses_at_once"] = count
    figures["counted_and_answered"] = len(held)
    figures["refused_with_429"] = len(refused)
    assert len(events) == len(refused)
