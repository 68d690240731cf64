"""A rule engine that fails: the request is refused where it enforces, and never passes silently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.backend import Backend
from tests.support.broken import load_instead
from tests.support.gateway import Gateway

BROKEN: Final = """
return {
    new = function() return {} end,
    run = function() error("broken on purpose") end,
}
"""


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    routes = [
        {
            "prefix": f"/{mode}",
            "methods": ["GET", "POST"],
            "upstream": "data",
            "auth": "none",
            "waf": {"mode": mode},
        }
        for mode in ("enforce", "observe")
    ]
    policy = {
        "workers": 1,
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {"body": "1MiB", "rate": {"limit": "1000/s"}},
        "routes": routes,
    }
    with Gateway(policy) as running:
        load_instead(running, "bartizan.waf.engine", BROKEN)
        running.expect_error("the rule engine failed: .*broken on purpose")
        yield running


@pytest.mark.parametrize("body", [None, {"q": "a"}])
@pytest.mark.parametrize(("mode", "status"), [("enforce", 500), ("observe", 200)])
def test_an_engine_that_fails(
    mode: str, status: int, body: dict[str, str] | None, gateway: Gateway, backend: Backend
) -> None:
    before = len(backend.requests)
    with gateway.client() as client:
        answer = client.request("POST" if body else "GET", f"/{mode}/x", data=body)
    assert answer.status_code == status
    assert len(backend.requests) - before == (status == 200)
    event = gateway.wait_for_audit(lambda found: found["request_id"] == answer.headers["X-Request-Id"])
    assert (event["guard"], event["decision"], event["mode"]) == ("waf", "failed", mode)
    assert event["code"] == "waf_failed"
    assert "broken on purpose" in event["reason"]
    if status == 500:
        assert answer.json()["code"] == "waf_failed"
        assert "broken" not in answer.text
