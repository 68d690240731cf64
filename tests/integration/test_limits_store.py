"""The limits' store where it is short: of room, of a worker that was killed, of one that failed."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.bare_nginx import BareNginx

# The smallest dict that nginx makes has room for some hundred entries.
HTTP = """
    lua_shared_dict limits 12k;
    init_by_lua_block {
        store = require("bartizan.limits.store")
        guards = { rate = require("bartizan.guards.rate"), inside = require("bartizan.guards.concurrency") }
        local shared = { limits = ngx.shared.limits }
        local function rate(limit, period)
            return guards.rate.new({ limit = limit, period = period, burst = 1, by = "header:x-key",
                                     excess = "refuse" }, shared)
        end
        local function inside(wait)
            return guards.inside.new({ limit = 1, wait = wait, wait_time = 0.05, by = "header:x-key" },
                                     shared)
        end
        made = {
            slow = { guards.rate, rate(1, 3600), "1f2e3d4c" },
            fast = { guards.rate, rate(1000000, 1), "2f2e3d4c" },
            inside = { guards.inside, inside(0), "3f2e3d4c" },
            line = { guards.inside, inside(1), "4f2e3d4c" },
        }
    }
    init_worker_by_lua_block {
        guards.rate.start(made.slow[2])
    }
"""
SERVER = """
    location = / { return 204; }
    location /check/ {
        access_by_lua_block {
            local guard = made[ngx.var.uri:sub(8)]
            local request = {
                route = { key = guard[3] }, address_key = "192.0.2.1", headers = ngx.req.get_headers(),
            }
            if ngx.var.arg_leave ~= "no" then
                ngx.ctx.guard, ngx.ctx.request = guard, request
            end
            local verdict = guard[1].check(guard[2], request, ngx.var.arg_observing == "yes")
            ngx.status = verdict and verdict.status or 200
            ngx.say(verdict and verdict.code or "passed")
            ngx.exit(ngx.status)
        }
        log_by_lua_block {
            if ngx.ctx.guard and ngx.ctx.guard[1].release then
                ngx.ctx.guard[1].release(ngx.ctx.guard[2], ngx.ctx.request)
            end
        }
    }
    location = /stats {
        content_by_lua_block { ngx.say(require("cjson").encode(store.stats(ngx.shared.limits))) }
    }
    location = /die {
        content_by_lua_block {
            store.open(ngx.shared.limits):begin()
            io.popen("kill -9 " .. ngx.worker.pid()):close()
        }
    }
    location = /fail {
        content_by_lua_block {
            store.open(ngx.shared.limits):begin()
            error("in a transaction")
        }
    }
"""


@pytest.fixture
def nginx() -> Iterator[BareNginx]:
    with BareNginx(HTTP, SERVER) as nginx:
        yield nginx


def stats(nginx: BareNginx) -> dict[str, Any]:
    figures = json.loads(nginx.get("/stats").text)
    assert isinstance(figures, dict)
    return figures


def fill(nginx: BareNginx, name: str = "slow") -> list[str]:
    """Use new keys until there is no room; return those that found some."""
    for number in range(2000):
        answer = nginx.get(f"/check/{name}?leave=no", X_Key=f"key {number}")
        if answer.status_code == 503:
            assert answer.text == "store_full\n"
            return [f"key {known}" for known in range(number)]
        assert answer.text == "passed\n"
    raise AssertionError("the store takes everything")


def test_a_full_store_refuses_what_is_new_and_forgets_nothing(nginx: BareNginx) -> None:
    known = fill(nginx)
    assert len(known) > 20
    assert stats(nginx)["full"] > 0
    # No bucket was given up for another: each of the known is empty still.
    assert {nginx.get("/check/slow", X_Key=key).text for key in known} == {"rate_limited\n"}
    for name in ("slow", "inside", "line"):
        assert nginx.get(f"/check/{name}", X_Key="new").text == "store_full\n"
        assert nginx.get(f"/check/{name}?observing=yes", X_Key="new").text == "store_full\n"
    assert (stats(nginx)["held"], stats(nginx)["waiting"]) == (0, 0)


def test_full_of_those_who_are_inside_it_admits_nobody_beyond_the_limit(nginx: BareNginx) -> None:
    known = fill(nginx, "inside")
    assert stats(nginx)["held"] == len(known)
    assert {nginx.get("/check/inside", X_Key=key).text for key in known} == {"concurrency_limited\n"}


def test_a_full_line_is_no_full_store(nginx: BareNginx) -> None:
    assert nginx.get("/check/line?leave=no", X_Key="one").text == "passed\n"
    assert nginx.get("/check/line", X_Key="one").text == "concurrency_limited\n"
    assert (stats(nginx)["held"], stats(nginx)["waiting"]) == (1, 0)
    assert stats(nginx)["full"] == 0


def test_what_need_not_be_kept_makes_room(nginx: BareNginx) -> None:
    """Many more keys than there is room for, whose buckets are full again within a microsecond."""
    room = len(fill(nginx))
    with BareNginx(HTTP, SERVER) as other:
        for number in range(5 * room):
            assert other.get("/check/fast", X_Key=f"key {number}").text == "passed\n"
            assert other.get("/check/inside", X_Key=f"key {number}").text == "passed\n"
        figures = stats(other)
        assert figures["full"] == 0
        assert figures["flushed"] > 3 * room


def test_what_need_not_be_kept_goes_by_itself(nginx: BareNginx) -> None:
    for number in range(30):
        assert nginx.get("/check/fast", X_Key=f"key {number}").text == "passed\n"
    assert nginx.get("/check/slow", X_Key="stays").text == "passed\n"
    assert nginx.get("/check/inside?leave=no", X_Key="stays").text == "passed\n"
    deadline = time.monotonic() + 30
    while stats(nginx)["flushed"] < 30:
        assert time.monotonic() < deadline, "nothing sweeps the store"
        time.sleep(0.05)
    assert nginx.get("/check/slow", X_Key="stays").text == "rate_limited\n"
    assert nginx.get("/check/inside", X_Key="stays").text == "concurrency_limited\n"


def test_a_worker_killed_within_a_transaction_stops_nobody(nginx: BareNginx) -> None:
    nginx.expect_error(r"worker process \d+ exited on signal 9")
    for _ in range(3):
        with pytest.raises(httpx.TransportError):
            nginx.get("/die")
        assert nginx.get("/check/fast", X_Key="one").text == "passed\n"
    assert stats(nginx)["recovered"] == 3


def test_an_error_within_a_transaction_stops_nobody(nginx: BareNginx) -> None:
    nginx.expect_error("in a transaction")
    assert nginx.get("/fail").status_code == 500
    # The worker that failed holds the lock until it takes it again, which the next one may wait for.
    for number in range(8):
        assert nginx.get("/check/fast", X_Key=f"key {number}").text == "passed\n"
    assert stats(nginx)["recovered"] == 1


def test_what_a_killed_worker_held_is_given_back(nginx: BareNginx) -> None:
    nginx.expect_error(r"worker process \d+ exited on signal 9")
    keys = [f"key {number}" for number in range(20)]
    for key in keys:
        assert nginx.get("/check/inside?leave=no", X_Key=key).text == "passed\n"
    assert stats(nginx)["held"] == 20
    with pytest.raises(httpx.TransportError):
        nginx.get("/die")
    held = stats(nginx)["held"]
    answers = [nginx.get("/check/inside", X_Key=key).text for key in keys]
    assert answers.count("concurrency_limited\n") == held
    assert answers.count("passed\n") == 20 - held
