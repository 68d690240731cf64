"""A guard that fails: the request is refused where it enforces, and never passes silently.

The product has no guard that can be brought to fail, so one is put before it on the path of Lua modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.support.backend import Backend
from tests.support.broken import load_instead
from tests.support.gateway import Gateway, wait_for
from tests.support.refusals import (
    Outcome,
    Wire,
    assert_logged_once,
    assert_says_no_more_than_it_should,
    text,
)

BROKEN: Final = """
return {
    name = "addresses",
    new = function() return {} end,
    check = function() error("broken on purpose") end,
    release = function() error("broken again") end,
}
"""


def policy(backend: Backend) -> dict[str, Any]:
    def route(path: str, mode: str, **settings: Any) -> dict[str, Any]:
        return {
            "prefix": path, "methods": ["GET"], "upstream": "data", "auth": "none",
            "addresses": {"deny": ["192.0.2.1"], "mode": mode}, "concurrency": {"limit": 1}, **settings,
        }  # fmt: skip

    # A route whose requests may wait is walked through in another phase of nginx.
    waiting = {"concurrency": {"limit": 1, "wait": 1}}
    return {
        "workers": 2,
        "upstreams": {"data": {"servers": [backend.url]}},
        "routes": [
            route("/enforce", "enforce"),
            route("/observe", "observe"),
            route("/waiting/enforce", "enforce", **waiting),
            route("/waiting/observe", "observe", **waiting),
        ],
    }


@pytest.fixture(scope="module")
def wire(backend: Backend) -> Iterator[Wire]:
    with Gateway(policy(backend)) as running:
        load_instead(running, "bartizan.guards.addresses", BROKEN)
        # Where it enforces, nginx logs the error; then comes whose it was.
        running.expect_error(r"failed to run set_by_lua\*: .*broken on purpose")
        running.expect_error(r"lua entry thread aborted: .*broken on purpose")
        running.expect_error(r"guard addresses failed, see above: request [0-9a-f]{32}")
        running.expect_error(r"guard addresses failed: .*broken on purpose")
        running.expect_error(r"guard addresses could not give back: .*broken again")
        yield Wire(running, backend)


def held(gateway: Gateway) -> int:
    lines = httpx.get(f"{gateway.operator}/metrics").text.splitlines()
    (count,) = [line.rpartition(" ")[2] for line in lines if line.startswith("bartizan_concurrency_held ")]
    return int(count)


def thrice(wire: Wire, path: str) -> list[Outcome]:
    sent = {}
    for number in range(3):
        wait_for(lambda: held(wire.gateway) == 0)
        sent[str(number)] = wire.http1(text([f"GET {path} HTTP/1.1", "Host: localhost"]))
    return list(wire.with_events(sent).values())


@pytest.mark.parametrize("path", ["/enforce", "/waiting/enforce"])
def test_it_fails_closed(wire: Wire, path: str) -> None:
    for outcome in thrice(wire, path):
        assert (outcome.status, outcome.forwarded) == (500, ())
        problem = assert_says_no_more_than_it_should(outcome)
        assert problem["code"] == "internal_error"
        assert "broken" not in outcome.body.decode()
        assert_logged_once(outcome, status=500, code="internal_error", decision="failed")
        (event,) = outcome.audit
        assert event["guard"] == "addresses"
        assert event["reason"] == "the guard failed; the error log has why"
        (line,) = [line for line in wire.gateway.stderr().splitlines() if event["request_id"] in line]
        assert "guard addresses failed" in line


@pytest.mark.parametrize("path", ["/observe", "/waiting/observe"])
def test_it_is_logged_where_it_only_observes(wire: Wire, path: str) -> None:
    """The other guards are asked, and get back what they gave: their limit is 1."""
    for outcome in thrice(wire, path):
        assert outcome.status == 200
        assert len(outcome.forwarded) == 1
        (event,), (line,) = outcome.audit, outcome.access
        assert (event["decision"], event["guard"], event["mode"]) == ("failed", "addresses", "observe")
        assert (event["code"], event["status"]) == ("internal_error", 500)
        assert (line["status"], line["verdict"]) == (200, "passed")


def test_failures_are_counted(wire: Wire) -> None:
    for path in ("/enforce", "/observe", "/observe"):
        wire.http1(text([f"GET {path} HTTP/1.1", "Host: localhost"]))
    # Events are on disk at once; workers add up what they counted once a second.
    wait_for(lambda: counts(wire.gateway) == events(wire.gateway))
    assert all(counts(wire.gateway).values())


def events(gateway: Gateway) -> dict[str, int]:
    modes = [event["mode"] for event in gateway.audit()]
    return {mode: modes.count(mode) for mode in ("enforce", "observe")}


def counts(gateway: Gateway) -> dict[str, int]:
    lines = httpx.get(f"{gateway.operator}/metrics").text.splitlines()
    found = {}
    for mode in ("enforce", "observe"):
        labels = f'{{guard="addresses",mode="{mode}",decision="failed",code="internal_error",'
        found[mode] = sum(int(line.rpartition(" ")[2]) for line in lines if labels in line)
    return found
