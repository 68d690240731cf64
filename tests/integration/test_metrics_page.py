"""docs/metrics.md and docs/alerts.yaml beside a running gateway: they name what is there, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from ruamel.yaml import YAML

from tests.docs.blocks import DOCS, ROOT
from tests.docs.tables import rows, words
from tests.support import issuer
from tests.support.backend import Backend, Request, Response
from tests.support.exposition import Family, parse
from tests.support.few_rules import few_rules
from tests.support.gateway import Gateway, wait_for

ALERTS: Final[Any] = YAML(typ="safe", pure=True).load(DOCS / "alerts.yaml")
RULES: Final[list[dict[str, Any]]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
# Of Prometheus itself: whether a scrape came through.
OF_THE_SCRAPER: Final = {"up": {"job", "instance"}}


def policy(backend: Backend, rules: Path) -> dict[str, Any]:
    def source(path: str) -> dict[str, Any]:
        return {"issuer": issuer.ISSUER, "jwks": f"{backend.url}{path}", "algorithms": ["ES256"]}

    auth = {"issuer": "good", "audience": issuer.AUDIENCE}
    return {
        "workers": 1,
        "rules": few_rules(rules),
        "issuers": {"good": source("/jwks"), "bad": source("/nothing")},
        "upstreams": {"data": {"servers": [backend.url]}},
        "routes": [
            {"prefix": "/", "methods": ["GET"], "upstream": "data", "auth": "none"},
            {"prefix": "/rules", "methods": ["GET"], "upstream": "data", "auth": "none", "waf": {}},
            {"prefix": "/token", "methods": ["GET"], "upstream": "data", "auth": auth},
            {"path": "/bad", "methods": ["GET"], "upstream": "data", "auth": auth | {"issuer": "bad"}},
        ],
    }


def respond(request: Request) -> Response:
    return Response(body=issuer.jwks("ES256")) if request.target == "/jwks" else Response(404)


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend(respond) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Return a gateway in which every metric has a sample."""
    with Gateway(policy(backend, tmp_path_factory.mktemp("rules"))) as running:
        running.expect_error("issuer bad: no new key set")
        with running.client() as client:
            assert client.get("/token").status_code in {401, 503}
            assert client.get("/rules?few=refuse").status_code == 403
        wait_for(lambda: all(family.samples for family in metrics(running).values()))
        yield running


def metrics(gateway: Gateway) -> dict[str, Family]:
    return parse(httpx.get(f"{gateway.operator}/metrics", timeout=30).text)


def documented() -> dict[str, tuple[str, set[str], str]]:
    """Return the type, labels and meaning of each metric in the page."""
    found = {}
    for name, kind, labels, meaning in rows("metrics.md", "metric"):
        assert words(name)[0] not in found, f"{name} stands there twice"
        found[words(name)[0]] = (kind, set(words(labels)), meaning)
    return found


def test_the_page_has_every_metric_as_the_gateway_does(gateway: Gateway) -> None:
    families = metrics(gateway)
    page = documented()
    assert set(page) == set(families)
    for name, family in families.items():
        kind, labels, meaning = page[name]
        assert kind == family.kind, name
        assert labels == {label for _, pairs in family.samples for label, _ in pairs}, name
        assert meaning.startswith(family.help), f"{name}: {family.help!r} is not how its meaning begins"


def test_the_page_names_the_values_of_labels(gateway: Gateway) -> None:
    families = metrics(gateway)
    page = documented()
    for name, label in (
        ("bartizan_connections", "state"),
        ("bartizan_workers", "state"),
        ("bartizan_store_capacity_bytes", "store"),
    ):
        assert families[name].labels(label) == set(words(page[name][2])), name


def test_the_page_has_every_event_of_the_sources() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "lua").rglob("*.lua"))
    counted = set(re.findall(r'(?:metrics|_M)\.event\("(\w+)"\)', sources))
    assert len(counted) >= 4
    assert {words(row[0])[0] for row in rows("metrics.md", "event")} == counted
    assert set(words(documented()["bartizan_events_total"][2])) == counted


def test_the_page_has_every_member_of_the_status(gateway: Gateway) -> None:
    status = httpx.get(f"{gateway.operator}/status").json()
    page = {words(row[0])[0]: set(words(row[1])) for row in rows("metrics.md", "member")}
    assert set(page) == set(status)
    assert set(status["workers"]) == page["workers"]
    assert set(status["certificate"]) == page["certificate"]
    known = set().union(*status["issuers"].values())
    assert known == page["issuers"], "some member is there for a good issuer, some for a bad one"
    assert set(status["stores"]["bartizan_limits"]) == page["stores"]
    assert set(status["routes"][1]) | {"mode"} == page["routes"]


def test_the_pages_of_the_listener(gateway: Gateway) -> None:
    for row in rows("metrics.md", "page"):
        assert httpx.get(gateway.operator + words(row[0])[0]).status_code == 200
    other = httpx.get(f"{gateway.operator}/metrics", headers={"Host": "attacker.example"})
    assert other.status_code == 421


def test_the_page_explains_every_alert() -> None:
    assert [words(row[0])[0] for row in rows("metrics.md", "alert")] == [rule["alert"] for rule in RULES]


def expressions() -> Iterator[tuple[str, str]]:
    """Yield the expressions of the alerts, and those of the page."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for line in re.findall(r"^(?:sum|histogram_quantile).*$", text, re.MULTILINE):
        yield line, line


def test_alerts_ask_for_what_there_is(gateway: Gateway) -> None:
    """Every metric is one of the gateway's, and so is each label that is asked for."""
    families = metrics(gateway)
    labels = {
        name: {label for _, pairs in family.samples for label, _ in pairs} | {"instance", "job"}
        for name, family in families.items()
    } | OF_THE_SCRAPER
    asked = 0
    for name, expression in expressions():
        for metric, matchers in re.findall(r"\b(bartizan_\w+|up)\b(?:\{([^}]*)\})?", expression):
            base = re.sub(r"_bucket$", "", metric)
            assert base in labels, f"{name}: there is no {metric}"
            asked += 1
            for label in re.findall(r"(\w+)\s*=~?", matchers):
                assert label in labels[base], f"{name}: {metric} has no label {label}"
    assert asked >= len(RULES)


def test_the_word_of_a_code_or_event_in_an_alert_is_one() -> None:
    codes = {words(row[0])[0] for row in rows("events.md", "code")}
    events = {words(row[0])[0] for row in rows("metrics.md", "event")}
    for _, expression in expressions():
        assert set(re.findall(r'code="(\w+)"', expression)) <= codes
        assert set(re.findall(r'event="(\w+)"', expression)) <= events


def test_the_rules_are_where_the_page_says() -> None:
    assert "[alerts.yaml](alerts.yaml)" in Path(DOCS / "metrics.md").read_text(encoding="utf-8")
