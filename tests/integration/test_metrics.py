"""/metrics, /status and /readyz at a running gateway: they say what happened, exactly, and harm nobody."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pytest
from cryptography import x509

from tests.support import issuer
from tests.support.backend import Backend, Request, Response
from tests.support.exposition import Family, parse
from tests.support.flood import flood
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection
from tests.support.http2 import request as stream_request
from tests.support.ports import free_port
from tests.support.refusals import CLIENTS_FAULT
from tests.support.wire import port_of

REQUESTS: Final = "bartizan_requests_total"
DURATION: Final = "bartizan_request_duration_seconds"
VERDICTS: Final = "bartizan_verdicts_total"


def policy(backend: Backend) -> dict[str, Any]:
    def route(path: str, **settings: Any) -> dict[str, Any]:
        return {"prefix": path, "methods": ["GET"], "upstream": "data", "auth": "none", **settings}

    routes = [
        route("/plain"),
        route("/away", upstream="away"),
        route("/status"),
        route("/keyed", rate={"limit": "1/h", "burst": 10, "by": "header:x-key"}),
        route("/gone"),
    ]
    for mode in ("enforce", "observe"):
        auth = {"issuer": "issuer", "audience": issuer.AUDIENCE, "scopes": [], "mode": mode}
        routes += [
            route(f"/addresses/{mode}", addresses={"deny": ["127.0.0.1"], "mode": mode}),
            route(f"/rate/{mode}", rate={"limit": "1/h", "burst": 3, "mode": mode}),
            route(f"/token/{mode}", auth=auth),
        ]
    return {
        "listen": {"http": {"redirect": False}},
        "workers": 2,
        "issuers": {
            "issuer": {"issuer": issuer.ISSUER, "jwks": f"{backend.url}/jwks", "algorithms": ["ES256"]}
        },
        "upstreams": {
            "data": {"servers": [backend.url]},
            "away": {"servers": [f"http://127.0.0.1:{free_port()}"]},
        },
        "defaults": {"rate": {"limit": "1000000/s", "burst": 1000000}},
        "routes": routes,
    }


def respond(request: Request) -> Response:
    if request.target == "/jwks":
        return Response(headers=(("Content-Type", "application/json"),), body=issuer.jwks("ES256", "EdDSA"))
    if request.target.startswith("/status/"):
        return Response(int(request.target.removeprefix("/status/")))
    return Response()


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend(respond) as running:
        yield running


def start(stack: ExitStack, backend: Backend) -> Gateway:
    gateway = stack.enter_context(Gateway(policy(backend)))
    gateway.expect_error(CLIENTS_FAULT)
    gateway.expect_error("Connection refused|no live upstreams")
    wait_for(lambda: metrics(gateway)["bartizan_key_set_age_seconds"].samples)
    # The keys of the policy's algorithm (the set has another), whichever worker answers.
    assert {metrics(gateway)["bartizan_key_set_keys"].value(issuer="issuer") for _ in range(10)} == {1}
    return gateway


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with ExitStack() as stack:
        yield start(stack, backend)


def metrics(gateway: Gateway) -> dict[str, Family]:
    response = httpx.get(f"{gateway.operator}/metrics", timeout=30)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(response.text)


def page(gateway: Gateway, path: str, status: int = 200) -> Any:
    response = httpx.get(gateway.operator + path)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    return response.json()


# --- Counts ------------------------------------------------------------------------------------------------

Counts = tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]], Counter[tuple[str, ...]]]


def nonzero(family: Family, *labels: str, suffix: str = "") -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for (name, pairs), value in family.samples.items():
        if name.endswith(suffix) and value:
            found[tuple(dict(pairs)[label] for label in labels)] += int(value)
    return found


def counted(gateway: Gateway) -> Counts:
    """Requests by route and class, durations by route, verdicts by all their labels, as /metrics has them."""
    families = metrics(gateway)
    return (
        nonzero(families[REQUESTS], "route", "status"),
        nonzero(families[DURATION], "route", suffix="_count"),
        nonzero(families[VERDICTS], "guard", "mode", "decision", "code", "route"),
    )


def logged(gateway: Gateway) -> Counts:
    """The same from the logs."""
    access, audit = gateway.access(), gateway.audit()
    return (
        Counter(
            (line["route"] or "none", f"{line['status'] // 100}xx" if line["status"] >= 100 else "none")
            for line in access
        ),
        Counter((line["route"] or "none",) for line in access),
        Counter(
            (event["guard"], event["mode"], event["decision"], event["code"], event["route"] or "none")
            for event in audit
        ),
    )


def test_everything_adds_up_exactly(backend: Backend) -> None:
    """Over both workers, to what was sent; and the logs say the same."""
    plan = {
        "/plain/a": (30, {"2xx": 30}, {}),
        "/nothing": (20, {"4xx": 20}, {("edge", "enforce", "refused", "no_route"): 20}),
        "/status/301": (4, {"3xx": 4}, {}),
        "/status/404": (5, {"4xx": 5}, {}),
        "/status/503": (6, {"5xx": 6}, {}),
        "/away/a": (7, {"5xx": 7}, {("upstream", "enforce", "failed", "upstream_unavailable"): 7}),
        "/addresses/enforce": (8, {"4xx": 8}, {("addresses", "enforce", "refused", "address_denied"): 8}),
        "/addresses/observe": (9, {"2xx": 9}, {("addresses", "observe", "observed", "address_denied"): 9}),
        "/rate/enforce": (10, {"2xx": 3, "4xx": 7}, {("rate", "enforce", "refused", "rate_limited"): 7}),
        "/rate/observe": (10, {"2xx": 10}, {("rate", "observe", "observed", "rate_limited"): 7}),
        "/token/enforce": (11, {"4xx": 11}, {("token", "enforce", "refused", "token_missing"): 11}),
        "/token/observe": (12, {"2xx": 12}, {("token", "observe", "observed", "token_missing"): 12}),
    }
    requests: Counter[tuple[str, ...]] = Counter()
    durations: Counter[tuple[str, ...]] = Counter()
    verdicts: Counter[tuple[str, ...]] = Counter()
    for path, (times, classes, decisions) in plan.items():
        prefix = re.sub(r"/(a|\d+)$", "", path)
        route = "none" if path == "/nothing" else f"GET {prefix}/*"
        durations[(route,)] += times
        requests.update({(route, status): count for status, count in classes.items()})
        verdicts.update({(*decision, route): count for decision, count in decisions.items()})
    with ExitStack() as stack:
        gateway = start(stack, backend)
        # A connection for each request, so that the kernel gives both workers some.
        fresh = httpx.Limits(max_keepalive_connections=0)
        with gateway.client(base_url=gateway.http, limits=fresh) as client:
            for path, (times, _, _) in plan.items():
                for _ in range(times):
                    client.get(path)
        wait_for(lambda: counted(gateway) == (requests, durations, verdicts))
        wait_for(lambda: logged(gateway) == (requests, durations, verdicts))
        assert len({line["worker"] for line in gateway.access()}) == 2


def test_what_is_reset_is_counted_without_a_status(gateway: Gateway) -> None:
    """An HTTP/2 stream that is malformed ends without an answer."""
    before = metrics(gateway)[REQUESTS].value(status="none")
    with Connection(port_of(gateway), gateway.context()) as connection:
        answer = connection.exchange([*stream_request("/plain"), (b"X-Upper", b"a")])
    assert answer.status is None
    wait_for(lambda: metrics(gateway)[REQUESTS].value(status="none") == before + 1)
    wait_for(lambda: metrics(gateway)[VERDICTS].value(code="stream_reset", decision="aborted") >= 1)


def test_durations_are_those_of_the_requests(backend: Backend, gateway: Gateway) -> None:
    """Nothing that took long is counted as short: what a histogram says is never less than it was."""
    slow = 0.3
    given = backend.respond

    def wait(request: Request) -> Response:
        if request.target.startswith("/gone"):
            threading.Event().wait(slow)
        return given(request)

    backend.respond = wait
    try:
        with gateway.client() as client:
            for _ in range(3):
                client.get("/gone")
    finally:
        backend.respond = given
    wait_for(lambda: metrics(gateway)[DURATION].value("_count", route="GET /gone/*") == 3)
    family = metrics(gateway)[DURATION]
    assert family.value("_bucket", route="GET /gone/*", le="0.25") == 0
    assert family.value("_bucket", route="GET /gone/*", le="+Inf") == 3
    assert 3 * slow - 0.01 <= family.value("_sum", route="GET /gone/*")


def test_labels_stay_few_with_many_routes(backend: Backend) -> None:
    rules = policy(backend)
    del rules["issuers"]
    rules["routes"] = [
        {"path": f"/r{n}", "methods": ["GET"], "upstream": "data", "auth": "none"} for n in range(300)
    ]
    rules["routes"][250]["addresses"] = {"deny": ["127.0.0.1"]}
    with Gateway(rules) as gateway:
        with gateway.client() as client:
            for n in range(300):
                assert client.get(f"/r{n}").status_code == (403 if n == 250 else 200)
            for n in range(50):
                assert client.get(f"/unknown/{n}").status_code == 404
        names = {f"GET /r{n}" for n in range(200)}
        wait_for(lambda: metrics(gateway)[REQUESTS].value() == 350)
        families = metrics(gateway)
        assert families[REQUESTS].labels("route") == names | {"other", "none"}
        assert families[DURATION].labels("route") == names | {"other", "none"}
        assert families[REQUESTS].value(route="other") == 100
        assert families[REQUESTS].value(route="none", status="4xx") == 50
        assert {families[REQUESTS].value(route=name) for name in names} == {1}
        assert families[VERDICTS].value(code="address_denied", route="other") == 1
        assert families[VERDICTS].labels("route") == {"other", "none"}


def test_counts_go_on_over_a_reload(backend: Backend) -> None:
    with ExitStack() as stack:
        gateway = start(stack, backend)

        def send() -> None:
            with gateway.client() as client:
                for path in ("/plain", "/gone", "/addresses/enforce"):
                    client.get(path)

        send()
        wait_for(lambda: metrics(gateway)[REQUESTS].value() == 3)
        (old,) = metrics(gateway)["bartizan_build_info"].labels("generation")
        rules = policy(backend)
        rules["routes"] = [route for route in reversed(rules["routes"]) if route["prefix"] != "/gone"]
        gateway.reload(rules)
        families = metrics(gateway)
        (new,) = families["bartizan_build_info"].labels("generation")
        assert new != old
        assert new == page(gateway, "/readyz")["generation"] == page(gateway, "/status")["generation"]
        # Those of a route that is gone went with it.
        assert families[REQUESTS].labels("route") == {"GET /plain/*", "GET /addresses/enforce/*"}
        send()
        expected = {"GET /plain/*": 2, "GET /addresses/enforce/*": 2, "none": 1}
        wait_for(
            lambda: (
                {
                    route: metrics(gateway)[REQUESTS].value(route=route)
                    for route in metrics(gateway)[REQUESTS].labels("route")
                }
                == expected
            )
        )
        assert metrics(gateway)[VERDICTS].value(code="address_denied") == 2


# --- Gauges ------------------------------------------------------------------------------------------------


def test_the_use_of_the_stores(gateway: Gateway) -> None:
    before = metrics(gateway)
    capacity, free = (before[f"bartizan_store_{name}_bytes"] for name in ("capacity", "free"))
    assert capacity.labels("store") == free.labels("store") == {"limits", "keys", "metrics", "workers"}
    for store in capacity.labels("store"):
        assert 0 < free.value(store=store) <= capacity.value(store=store)
    with gateway.client() as client:
        for number in range(500):
            client.get("/keyed", headers={"X-Key": f"{number:060}"})
    after = metrics(gateway)["bartizan_store_free_bytes"]
    # 500 buckets, each with 60 bytes of key, that stay for hours.
    assert after.value(store="limits") < free.value(store="limits") - 30_000
    assert after.value(store="workers") == free.value(store="workers")
    for name in ("full", "reaped", "recovered"):
        assert before[f"bartizan_limits_{name}_total"].value() == 0


def test_the_key_set(gateway: Gateway) -> None:
    begun = time.monotonic()
    first = metrics(gateway)["bartizan_key_set_age_seconds"].value(issuer="issuer")
    assert first > 0
    wait_for(lambda: metrics(gateway)["bartizan_key_set_age_seconds"].value(issuer="issuer") > first)
    last = metrics(gateway)["bartizan_key_set_age_seconds"].value(issuer="issuer")
    assert last - first <= time.monotonic() - begun


def test_the_certificates_end(gateway: Gateway) -> None:
    pem = (gateway.state / "tls" / "server.pem").read_bytes()
    end = x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    begun = time.time()
    left = metrics(gateway)["bartizan_certificate_expiry_seconds"].value()
    # nginx's clock has whole seconds.
    assert end - time.time() - 2 <= left <= end - begun + 2
    shown = page(gateway, "/status")["certificate"]
    assert datetime.fromisoformat(shown["not_after"]).timestamp() == int(end)
    assert 0 < shown["expires_in"] <= left + 2


def test_connections_and_workers(gateway: Gateway) -> None:
    with ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(gateway.client())
            client.get("/plain")
        # Five that are kept, and the scrape's own.
        wait_for(lambda: metrics(gateway)["bartizan_connections"].value(state="waiting") >= 5)
        family = metrics(gateway)["bartizan_connections"]
        assert family.labels("state") == {"active", "reading", "writing", "waiting"}
        assert family.value(state="active") >= 6
        assert family.value(state="writing") >= 1
    workers = metrics(gateway)["bartizan_workers"]
    assert (workers.value(state="serving"), workers.value(state="wanted")) == (2, 2)


# --- Scraping ----------------------------------------------------------------------------------------------


def test_scraping_under_load_costs_nobody_a_request(backend: Backend) -> None:
    """Each answer is a whole one, and in the end all is counted, what was under way at the close included."""
    with ExitStack() as stack:
        gateway = start(stack, backend)
        port = port_of(gateway, tls=False)
        answers: list[int] = []

        def load() -> None:
            # /nothing is answered here, /plain by the slow service of the tests.
            answers.extend(flood(port, path, seconds=1, connections=16) for path in ("/nothing", "/plain"))

        thread = threading.Thread(target=load)
        thread.start()
        scrapes = 0
        counts = [0.0]
        while thread.is_alive():
            families = metrics(gateway)
            counts.append(families[REQUESTS].value() if REQUESTS in families else 0)
            scrapes += 1
        thread.join()
        assert len(answers) == 2
        assert scrapes >= 3
        assert counts == sorted(counts), "a counter went back"
        wait_for(lambda: counted(gateway) == logged(gateway))
        # 499: those that were under way when the flood ended.
        statuses = {line["status"] for line in gateway.access()}
        assert statuses <= {200, 404, 499}
        assert metrics(gateway)[REQUESTS].value() >= sum(answers)


def test_status_is_for_people(gateway: Gateway) -> None:
    text = httpx.get(f"{gateway.operator}/status").text
    assert max(len(line) for line in text.splitlines()) < 160
    status = page(gateway, "/status")
    assert status["workers"] == {"serving": 2, "wanted": 2}
    assert status["origin"] == gateway.https
    assert re.fullmatch(r"\d+\.\d+\.\d+", status["version"])
    known = status["issuers"]["issuer"]
    assert (known["issuer"], known["keys"], known["failures"]) == (issuer.ISSUER, 1, 0)
    assert set(status["stores"]) == {f"bartizan_{name}" for name in ("limits", "keys", "metrics", "workers")}
    routes = {route["name"]: route for route in status["routes"]}
    assert len(routes) == len(gateway.policy["routes"])
    token = routes["GET /token/observe/*"]
    assert token["upstream"] == "data"
    assert token["guards"] == [
        {"guard": "rate", "mode": "enforce"},
        {"guard": "token", "mode": "observe"},
    ]
    assert datetime.fromisoformat(status["certificate"]["not_after"]) > datetime.now(UTC)


def test_a_gateway_with_no_more_than_it_needs(backend: Backend) -> None:
    """No TLS and no issuer: every page has an answer all the same."""
    rules = policy(backend)
    rules["listen"]["https"] = "off"
    del rules["issuers"]
    rules["routes"] = rules["routes"][:1]
    with Gateway(rules) as gateway:
        status = page(gateway, "/status")
        assert not {"certificate", "issuers"} & set(status)
        families = metrics(gateway)
        for name in ("certificate_expiry_seconds", "key_set_age_seconds", "key_set_keys"):
            assert families[f"bartizan_{name}"].samples == {}
        assert httpx.get(f"{gateway.http}/plain").status_code == 200
        wait_for(lambda: metrics(gateway)[REQUESTS].value() == 1)


def test_ready_means_every_worker(gateway: Gateway) -> None:
    ready = page(gateway, "/readyz")
    assert ready["ready"] is True
    assert ready["workers"] == {"serving": 2, "wanted": 2}
    assert ready["generation"] == (gateway.state / "edge" / "current").resolve().name
