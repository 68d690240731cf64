"""The rate guard at a running gateway: who is counted, what is answered, what waits, what carries on."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support import issuer
from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway

# Slow enough that nothing becomes free again while a test runs, on however busy a machine.
RATES: dict[str, dict[str, Any] | list[dict[str, Any]]] = {
    "plain": {"limit": "1/h", "burst": 3},
    "minute": {"limit": "2/m", "burst": 1},
    "second": {"limit": "1000000/s", "burst": 50},
    "header": {"limit": "1/h", "burst": 1, "by": "header:X-Api-Key"},
    "observed": {"limit": "1/h", "burst": 2, "mode": "observe"},
    "observed-delay": {"limit": "2/m", "burst": 2, "excess": "delay", "mode": "observe"},
    "delay": {"limit": "4/s", "burst": 4, "excess": "delay"},
    "two": [{"limit": "1/h", "burst": 2}, {"limit": "100/h", "burst": 90, "by": "header:X-Api-Key"}],
    "reload": {"limit": "1/h", "burst": 3},
    "other": {"limit": "1/h", "burst": 3},
}


# Routes that a token opens, and what the token guard does without one.
BY_CLIENT = {"client": "enforce", "client-or-address": "observe"}


def policy(backend: Backend, *, order: int = 1) -> dict[str, Any]:
    route = {"methods": ["GET"], "upstream": "data", "concurrency": {"limit": 1000}}
    public = [{"path": f"/{name}", "auth": "none", "rate": rate, **route} for name, rate in RATES.items()]
    own = [
        {
            "path": f"/{name}",
            "auth": {"issuer": "issuer", "audience": issuer.AUDIENCE, "scopes": [], "mode": mode},
            "rate": {"limit": "1/h", "burst": 2, "by": "client"},
            **route,
        }
        for name, mode in BY_CLIENT.items()
    ]
    return {
        "listen": {"https": "off", "http": {"redirect": False}},
        "workers": 2,
        "issuers": {
            "issuer": {"issuer": issuer.ISSUER, "jwks": f"{backend.url}/jwks", "algorithms": ["ES256"]}
        },
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {"body": "1KiB"},
        "routes": (public + own)[::order],
    }


def respond(request: Request) -> Response:
    if request.target == "/jwks":
        return Response(headers=(("Content-Type", "application/json"),), body=issuer.jwks("ES256"))
    return Response()


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend(respond) as backend:
        yield backend


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    """Give a client that opens a connection for each request, so that either worker may decide."""
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=gateway.http, timeout=20, limits=limits) as client:
        yield client


def get(client: httpx.Client, name: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(f"/{name}", headers=named)


def of(response: httpx.Response) -> Callable[[dict[str, Any]], bool]:
    """Give the condition for the log lines of a request."""
    wanted = response.headers["X-Request-Id"]
    return lambda line: bool(line["request_id"] == wanted)


def statuses(client: httpx.Client, name: str, count: int) -> list[int]:
    return [get(client, name).status_code for _ in range(count)]


def test_what_is_beyond_the_burst_is_refused_and_told_when_to_come_back(
    gateway: Gateway, client: httpx.Client
) -> None:
    passed = [get(client, "plain") for _ in range(3)]
    assert [response.status_code for response in passed] == [200] * 3
    assert [response.headers["RateLimit"] for response in passed] == [
        '"address";r=2;t=3600',
        '"address";r=1;t=7200',
        '"address";r=0;t=10800',
    ]
    refused = get(client, "plain")
    assert refused.status_code == 429
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "rate_limited"
    assert refused.headers["RateLimit"] == '"address";r=0;t=10800'
    assert refused.headers["RateLimit-Policy"] == '"address";q=1;w=3600'
    assert 3000 < int(refused.headers["Retry-After"]) <= 3600
    event = gateway.wait_for_audit(of(refused))
    assert event["code"] == "rate_limited"
    assert event["reason"] == "more than 1 per hour by address, with a burst of 3"


def test_the_policy_names_limit_and_window(client: httpx.Client) -> None:
    assert get(client, "minute").headers["RateLimit-Policy"] == '"address";q=2;w=60'
    refused = get(client, "minute")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 30
    fast = get(client, "second")
    assert fast.headers["RateLimit-Policy"] == '"address";q=1000000;w=1'
    assert fast.headers["RateLimit"] == '"address";r=49;t=1'


def test_by_header_each_value_has_its_own_bucket(client: httpx.Client) -> None:
    long = "k" * 5000
    for value in ("first", "second", long, long + "!", "127.0.0.1"):
        assert get(client, "header", X_Api_Key=value).status_code == 200
        assert get(client, "header", X_Api_Key=value).status_code == 429
    assert get(client, "header", X_Api_Key="third").headers["RateLimit-Policy"] == '"header";q=1;w=3600'
    # Without the header the address counts; the value "127.0.0.1" above was not this address.
    assert statuses(client, "header", 2) == [200, 429]
    assert get(client, "header", X_Api_Key="").status_code == 429
    pair = [("X-Api-Key", "a"), ("X-Api-Key", "b")]
    answers = [client.get("/header", headers=pair).status_code for _ in range(2)]
    assert answers == [200, 429]


def ask_as(client: httpx.Client, name: str, who: str) -> httpx.Response:
    return get(client, name, Authorization=f"Bearer {issuer.token(client_id=who, sub=who)}")


@pytest.mark.parametrize("name", BY_CLIENT)
def test_by_client_each_client_has_its_own_bucket(client: httpx.Client, name: str) -> None:
    long = "c" * 100
    for who in ("first", "second", long, long + "!"):
        answers = [ask_as(client, name, who) for _ in range(3)]
        assert [response.status_code for response in answers] == [200, 200, 429]
        assert answers[0].headers["RateLimit-Policy"] == '"client";q=1;w=3600'


def test_without_a_client_the_address_counts(client: httpx.Client) -> None:
    assert statuses(client, "client-or-address", 3) == [200, 200, 429]
    assert ask_as(client, "client-or-address", "third").status_code == 200


def test_observing_refuses_nothing_and_says_what_it_would(gateway: Gateway, client: httpx.Client) -> None:
    answers = [get(client, "observed") for _ in range(4)]
    assert [response.status_code for response in answers] == [200] * 4
    for response in answers[2:]:
        event = gateway.wait_for_audit(of(response))
        assert (event["decision"], event["code"]) == ("observed", "rate_limited")
    ids = {response.headers["X-Request-Id"] for response in answers[:2]}
    assert not ids & {event["request_id"] for event in gateway.audit()}


def test_observing_never_delays(client: httpx.Client) -> None:
    """A delay here would be half a minute, longer than the client waits."""
    assert statuses(client, "observed-delay", 4) == [200] * 4


def test_the_bucket_that_leaves_the_least_is_announced(client: httpx.Client) -> None:
    response = get(client, "two")
    assert response.headers["RateLimit"] == '"address";r=1;t=3600'
    assert response.headers["RateLimit-Policy"] == '"address";q=1;w=3600'
    # Without the header both count this address, each in a bucket of its own.
    assert statuses(client, "two", 2) == [200, 429]


def test_excess_that_is_delayed_leaves_at_the_rate(gateway: Gateway, client: httpx.Client) -> None:
    """By the gateway's stamps: the n-th leaves n - 1 intervals after the first at the earliest."""
    count, interval, burst = 10, 250_000, 4
    start = threading.Barrier(count)

    def ask() -> httpx.Response:
        start.wait()
        return get(client, "delay")

    with ThreadPoolExecutor(count) as pool:
        answers = [job.result() for job in [pool.submit(ask) for _ in range(count)]]
    decided: dict[int, list[int]] = {200: [], 429: []}
    for response in answers:
        line = gateway.wait_for_access(of(response))
        decided[response.status_code].append(int(line["decided"]))
    left = sorted(decided[200])
    assert len(left) >= burst
    for place, stamp in enumerate(left):
        assert stamp >= left[0] + place * interval
    # Who was refused found burst requests that had not left: as many as leave until then, and the burst.
    for stamp in decided[429]:
        assert len(left) >= burst + (stamp - left[0]) // interval - 1
    assert all(int(response.headers["Retry-After"]) == 1 for response in answers if response.is_error)


def test_counts_carry_on_over_a_reload_in_another_order_and_with_another_limit(
    gateway: Gateway, client: httpx.Client, backend: Backend
) -> None:
    assert statuses(client, "reload", 2) == [200, 200]
    changed = policy(backend, order=-1)
    for route in changed["routes"]:
        if route["path"] == "/reload":
            route["rate"]["burst"] = 4
    gateway.reload(changed)
    assert statuses(client, "reload", 3) == [200, 200, 429]
    assert statuses(client, "other", 4) == [200, 200, 200, 429]
