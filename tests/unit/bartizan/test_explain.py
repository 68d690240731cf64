"""What `bartizan explain` says of a request."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bartizan.explain import Answer, explain
from bartizan.policy import load_policy

POLICY = """\
origin: https://api.example.com
issuers:
  t: {issuer: x, jwks: 'http://127.0.0.1/jwks', algorithms: [ES256]}
upstreams:
  data: {servers: [http://127.0.0.1:5200], read_timeout: 2m}
defaults:
  rate: {limit: 50/s}
routes:
  - prefix: /api
    methods: [GET]
    upstream: data
    auth: {issuer: t, audience: d}
    rate: {limit: 5/s, by: client}
  - path: /forum
    methods: [POST]
    upstream: data
    auth: none
    waf:
      thresholds: {inbound: 10}
      exclusions: [{rule: 942100, parameter: args:text, reason: people write about SQL}, {tag: attack-rce}]
  - {path: /exact, methods: [POST], upstream: data, auth: none, cors: {origins: [https://a.example]}}
  - prefix: /only
    methods: [GET]
    hosts: [a.example]
    upstream: data
    auth: none
    concurrency: {limit: 2, mode: off}
"""


def answer(folder: Path, method: str, url: str) -> Answer:
    """Explain a request to the policy above."""
    path = folder / "gateway.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return explain(load_policy(path), method, url)


def test_a_request_that_a_route_takes(tmp_path: Path) -> None:
    said = answer(tmp_path, "HEAD", "/api/users?x=1")
    assert said.sentence == "routes[0] takes it: GET /api/*"
    rows = [(row.part, row.setting, row.value, row.source, row.key) for row in said.rows]
    here = ("routes", 0)
    assert rows[:8] == [
        ("request", "body", "1MiB", "built-in", None),
        ("1. token", "mode", "enforce", "built-in", None),
        ("1. token", "issuer", "t", "route", (*here, "auth")),
        ("1. token", "audience", "d", "route", (*here, "auth")),
        ("2. rate", "mode", "enforce", "built-in", None),
        ("2. rate", "limit", "5/s", "route", (*here, "rate")),
        ("2. rate", "burst", "2", "built-in", None),
        ("2. rate", "by", "client", "route", (*here, "rate")),
    ]
    assert ("upstream", "read_timeout", "2m", "upstreams", ("upstreams", "data")) in rows
    assert ("upstream", "connect_timeout", "2s", "built-in", None) in rows


def test_what_is_off_and_what_is_public_is_shown(tmp_path: Path) -> None:
    said = answer(tmp_path, "GET", "https://a.example/only")
    parts = {(row.part, row.setting): (row.value, row.source) for row in said.rows}
    assert parts["-  concurrency", "mode"] == ("off", "route")
    assert parts["-  token", "auth"] == ("none", "route")
    assert parts["1. rate", "limit"] == ("50/s", "defaults")


CASES: Any = YAML(typ="safe", pure=True).load(Path(__file__).parents[2] / "cases" / "explain.yaml")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['method']} {case['url']}")
def test_a_request_that_no_route_takes(tmp_path: Path, case: dict[str, str]) -> None:
    assert answer(tmp_path, case["method"], case["url"]) == Answer(case["says"])


def test_the_rule_engine_and_its_rules(tmp_path: Path) -> None:
    said = answer(tmp_path, "POST", "/forum")
    rows = [
        (row.part, row.setting, row.value, row.source, row.key)
        for row in said.rows
        if row.part in {"2. waf", "rules"}
    ]
    here = ("routes", 1, "waf")
    assert rows == [
        ("2. waf", "mode", "enforce", "built-in", None),
        ("2. waf", "paranoia", "1", "built-in", None),
        ("2. waf", "thresholds", "inbound 10, outbound 4", "route", here),
        ("2. waf", "exclusions", "rule 942100 at args:text, tag attack-rce", "route", here),
        ("2. waf", "window", "128KiB", "built-in", None),
        ("2. waf", "incomplete", "refuse", "built-in", None),
        ("rules", "source", "those of Debian's package modsecurity-crs", "built-in", None),
    ]
