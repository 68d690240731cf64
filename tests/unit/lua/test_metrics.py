"""lua/bartizan/metrics.lua: what is counted, in one worker with a store of its own."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

# nginx's shared dict as far as it is needed here.
STORE: Final = """
ngx = { log = function() end, WARN = 5 }
local values = {}
return {
    incr = function(_, key, count, initial)
        values[key] = (values[key] or initial) + count
        return values[key]
    end,
    get = function(_, key) return values[key] end,
    delete = function(_, key) values[key] = nil end,
    get_keys = function()
        local keys = {}
        for key in pairs(values) do keys[#keys + 1] = key end
        return keys
    end,
}
"""
Slots = dict[str, dict[str, Any]]


class Worker:
    """One worker's counting.

    Attributes:
        metrics: the module.
        routes: its routes, as it knows them.
        store: the shared store.
    """

    def __init__(self, routes: list[tuple[str, str]], lua: Lua | None = None, store: Any = None) -> None:
        self.lua = lua or Lua()
        fresh = self.lua.execute(STORE)
        self.store = store or fresh
        self.lua.execute("package.loaded['bartizan.metrics'] = nil")
        self.metrics = self.lua.require("bartizan.metrics")
        table = self.lua.table([{"key": key, "name": name} for key, name in routes])
        self.routes = [table[n + 1] for n in range(len(routes))]
        self.metrics.init(table, self.store)

    def slots(self) -> Slots:
        """What the store holds, by name."""
        self.metrics.flush()
        found = [
            self.lua.python(self.metrics.read_slot(n + 1)) for n in range(int(self.metrics.slot_count()))
        ]
        return {slot["name"]: slot for slot in found if slot is not None}


def buckets(worker: Worker, slot: dict[str, Any]) -> dict[float, int]:
    """The cumulative buckets by their bounds."""
    bounds = [*worker.lua.python(worker.metrics.BOUNDS), float("inf")]
    return dict(zip(bounds, slot["buckets"], strict=True))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_a_histogram_counts_each_duration_where_it_belongs(durations: list[float]) -> None:
    worker = Worker([("k", "GET /")])
    for seconds in durations:
        worker.metrics.request(worker.routes[0], 200, seconds)
    slot = worker.slots()["GET /"]
    assert slot["count"] == len(durations)
    assert slot["sum"] == pytest.approx(sum(durations))
    # nginx's clock has whole milliseconds; Lua rounds a half up.
    milliseconds = [int(seconds * 1000 + 0.5) for seconds in durations]
    for bound, count in buckets(worker, slot).items():
        assert count == sum(value <= bound * 1000 for value in milliseconds)


@pytest.mark.parametrize("seconds", [-0.001, -1.0, -1e9])
def test_a_clock_that_was_set_back_harms_nothing(seconds: float) -> None:
    worker = Worker([("k", "GET /")])
    worker.metrics.request(worker.routes[0], 200, seconds)
    slot = worker.slots()["GET /"]
    assert (slot["count"], slot["sum"], slot["buckets"][0]) == (1, 0, 1)


def classes(slot: dict[str, Any]) -> dict[int, int]:
    return {int(number): count for number, count in slot["classes"].items() if count}


def test_statuses_are_counted_by_class() -> None:
    worker = Worker([("k", "GET /")])
    for status in (0, 9, 101, 200, 204, 299, 301, 404, 499, 500, 504, 599, 999):
        worker.metrics.request(worker.routes[0], status, 0)
    assert classes(worker.slots()["GET /"]) == {0: 2, 1: 1, 2: 3, 3: 1, 4: 2, 5: 4}


def test_what_is_beyond_200_routes_shares_a_slot() -> None:
    worker = Worker([(f"k{n}", f"GET /{n}") for n in range(300)])
    for route in worker.routes:
        worker.metrics.request(route, 200, 0)
    worker.metrics.request(None, 404, 0)
    slots = worker.slots()
    assert len(slots) == 202
    assert slots["other"]["count"] == 100
    assert slots["none"]["count"] == 1
    assert slots["GET /199"]["count"] == 1
    assert "GET /200" not in slots


def test_a_name_stands_for_one_route() -> None:
    worker = Worker([("k1", "GET /a/*"), ("k2", "GET /a/*"), ("k3", "other")])
    for route in worker.routes:
        worker.metrics.request(route, 200, 0)
    assert {name: slot["count"] for name, slot in worker.slots().items()} == {
        "GET /a/*": 1,
        "GET /a/* (k2)": 1,
        "other (k3)": 1,
    }


def reloaded(old: Worker, routes: list[tuple[str, str]]) -> Worker:
    new = Worker(routes, old.lua, old.store)
    new.metrics.forget_old_routes()
    return new


@pytest.fixture
def verdicts() -> Callable[[Worker], dict[str, float]]:
    def read(worker: Worker) -> dict[str, float]:
        worker.metrics.flush()
        keys = worker.lua.python(worker.metrics["keys"]())
        return {key: worker.metrics.get(key) for key in keys if key.startswith(("verdict|", "event|"))}

    return read


def test_counts_outlive_a_reload_but_for_routes_that_are_gone(
    verdicts: Callable[[Worker], dict[str, float]],
) -> None:
    old = Worker([("k1", "GET /1"), ("k2", "GET /2")])
    for route in old.routes:
        old.metrics.request(route, 200, 0)
        old.metrics.verdict("rate", "enforce", "refused", "rate_limited", route)
    old.metrics.event("limits_store_full")
    old.metrics.flush()
    new = reloaded(old, [("k3", "GET /3"), ("k2", "GET /2")])
    assert {name: slot["count"] for name, slot in new.slots().items()} == {"GET /2": 1}
    assert verdicts(new) == {
        "verdict|rate|enforce|refused|rate_limited|k2": 1,
        "event|limits_store_full": 1,
    }
