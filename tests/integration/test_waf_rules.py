"""Rules of one's own, and what becomes of them at a start and a reload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backend import Backend
from tests.support.few_rules import few_rules
from tests.support.gateway import Gateway, bartizan

GOOD = """\
SecRule ARGS:colour "@streq green" "id:10001,phase:2,deny,status:418,msg:'no green',severity:'CRITICAL'"
SecRule REQUEST_HEADERS:X-Old "!@rx ^$" "id:10002,phase:1,redirect:https://new.example/,msg:'moved'"
SecRule ARGS:only "@streq log" "id:10003,phase:2,pass,msg:'only logged'"
SecRule ARGS:slow "@rx ^(a+)+([bc])\\2$" "id:10005,phase:2,deny,msg:'takes for ever'"
"""
BAD = 'SecRule ARGS "@streq x" "id:10004,phase:2,deny,frobnicate"\n'


def policy(backend: Backend, folder: Path) -> dict[str, Any]:
    return {
        "workers": 1,
        "upstreams": {"data": {"servers": [backend.url]}},
        "rules": few_rules(folder, after=["own.conf"]),
        "defaults": {"waf": {}},
        "routes": [
            {"prefix": "/", "methods": ["GET", "POST"], "upstream": "data", "auth": "none"},
            {
                "prefix": "/watched",
                "methods": ["GET"],
                "upstream": "data",
                "auth": "none",
                "waf": {"mode": "observe"},
            },
        ],
    }


@pytest.fixture(scope="module")
def gateway(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    given = policy(backend, tmp_path_factory.mktemp("rules"))
    with Gateway(given, files={"own.conf": GOOD}, own_rules=True) as running:
        yield running


def plans(gateway: Gateway) -> dict[str, int]:
    """Return the compiled plans, and when each was written."""
    found = (gateway.state / "rules" / "compiled").glob("*/plan.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def test_rules_of_ones_own_refuse_as_they_say(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.get("/", params={"colour": "blue"}).status_code == 200
        answer = client.get("/", params={"colour": "green"})
        assert (answer.status_code, answer.json()["code"]) == (418, "waf_refused")
        moved = client.get("/", headers={"X-Old": "1"}, follow_redirects=False)
        assert (moved.status_code, moved.headers["Location"]) == (302, "https://new.example/")
        logged = client.get("/", params={"only": "log"})
        assert logged.status_code == 200
        assert client.get("/", params={"few": "refuse"}).status_code == 403
    event = gateway.wait_for_audit(lambda event: event["status"] == 418)
    assert [match["rule"] for match in event["waf"]["matches"]] == [10001]
    noted = gateway.wait_for_audit(lambda event: event["decision"] == "noted")
    assert [match["rule"] for match in noted["waf"]["matches"]] == [10003]


def test_a_rule_that_comes_to_no_answer(gateway: Gateway) -> None:
    """A match limit is no match and no clean bill: nothing is known of the request, and it is not let in."""
    with gateway.client() as client:
        assert client.get("/", params={"slow": "aabb"}).status_code == 403
        assert client.get("/", params={"slow": "aabc"}).status_code == 200
        endless = {"slow": "a" * 60 + "bc"}
        answer = client.get("/", params=endless)
        watched = client.get("/watched", params=endless)
    assert (answer.status_code, answer.json()["code"]) == (403, "waf_undecided")
    assert watched.status_code == 200
    for one, mode, decision in ((answer, "enforce", "refused"), (watched, "observe", "observed")):
        event = of_request(gateway, one.headers["X-Request-Id"])
        assert (event["decision"], event["mode"], event["code"]) == (decision, mode, "waf_undecided")
        assert "10005" in event["reason"]
        assert "limit" in event["reason"]


def of_request(gateway: Gateway, identity: str) -> dict[str, Any]:
    return gateway.wait_for_audit(lambda event: event["request_id"] == identity)


def test_a_reload_with_the_same_rules_compiles_nothing(gateway: Gateway) -> None:
    gateway.reload()  # what other tests changed
    before = plans(gateway)
    assert before
    done = gateway.reload()
    assert "compiling" not in done.stdout + done.stderr
    assert plans(gateway) == before


def test_a_reload_with_a_bad_rule_leaves_the_old_ones_on(gateway: Gateway) -> None:
    (gateway.state / "own.conf").write_text(GOOD + BAD, encoding="utf-8")
    try:
        done = gateway.reload(ok=False)
    finally:
        (gateway.state / "own.conf").write_text(GOOD, encoding="utf-8")
    assert f"{gateway.state}/own.conf:5: " in done.stderr
    assert "frobnicate" in done.stderr
    with gateway.client() as client:
        assert client.get("/", params={"colour": "green"}).status_code == 418
        assert client.get("/", params={"colour": "blue"}).status_code == 200


def test_check_tells_a_bad_rule(gateway: Gateway) -> None:
    path = gateway.state / "bad.conf"
    path.write_text(BAD, encoding="utf-8")
    written = gateway.policy["rules"]
    other = {**gateway.policy, "rules": {**written, "after": ["bad.conf"]}}
    old = gateway.policy
    gateway.write(other)
    try:
        done = bartizan("check", gateway.policy_file, "--state", gateway.state)
    finally:
        gateway.write(old)
    assert done.returncode == 1
    assert f"{path}:1: " in done.stderr


def test_changed_rules_take_effect_at_a_reload(gateway: Gateway) -> None:
    (gateway.state / "own.conf").write_text(GOOD.replace("green", "red"), encoding="utf-8")
    gateway.reload()
    with gateway.client() as client:
        assert client.get("/", params={"colour": "green"}).status_code == 200
        assert client.get("/", params={"colour": "red"}).status_code == 418
    (gateway.state / "own.conf").write_text(GOOD, encoding="utf-8")
    gateway.reload()


def test_an_exclusion_of_a_rule_that_there_is_not(gateway: Gateway) -> None:
    old = gateway.policy
    waf = {"exclusions": [{"rule": 99999999}]}
    done = gateway.reload({**old, "defaults": {"waf": waf}}, ok=False)
    gateway.write(old)
    assert "99999999" in done.stderr


def test_installed_rules_that_there_are_not(gateway: Gateway) -> None:
    old = gateway.policy
    done = gateway.reload({**old, "rules": {"source": "crs-9.9.9"}}, ok=False)
    gateway.write(old)
    assert "crs-9.9.9" in done.stderr
