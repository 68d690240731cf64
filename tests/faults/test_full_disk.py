"""A disk that is full: requests are judged and answered all the same, and what could not be written is told.

Of the logs, nginx says in its error log that lines are lost (once a minute and log), and the metrics go on
counting, so that the loss can be told: requests counted less lines written. A body that finds no room on the
disk is a 500, for it could not be had whole: nothing of it is passed on. A policy that finds none is refused
by the command, and the old one serves on.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from bartizan.layout import work_folder
from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.support.backend import Backend
from tests.support.exposition import parse
from tests.support.gateway import Gateway, wait_for
from tests.support.small_disk import small_disk

FULL: Final = r"failed \(28: No space left on device\)|was incomplete|has written only"
LOGS: Final = ("access", "audit")
# nginx leaves a log alone for the rest of the second in which it found its disk full.
REST: Final = 2


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


def policy(backend: Backend) -> dict[str, Any]:
    """Return a policy of `/open`, which passes, and `/shut`, which an address list refuses."""
    routes = [
        {"prefix": "/open", "upstream": "data", "auth": "none", "methods": ["GET", "POST"], "body": "8MiB"},
        {"prefix": "/shut", "upstream": "data", "auth": "none", "methods": ["GET"],
         "addresses": {"deny": ["127.0.0.0/8"]}},
    ]  # fmt: skip
    return {
        "workers": 2,
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {"rate": {"limit": "1000000/s", "burst": 1000000}},
        "routes": routes,
    }


def ask(gateway: Gateway, count: int, name: str) -> Counter[int]:
    """Ask for what passes and for what is refused, as often each, and return the statuses."""
    with gateway.client() as client:
        return Counter(
            client.get(f"/{where}/{name}/{number}").status_code
            for number in range(count)
            for where in ("open", "shut")
        )


def counted(gateway: Gateway) -> int:
    """Return how many requests the metrics count."""
    families = parse(httpx.get(f"{gateway.operator}/metrics").text)
    return int(families["bartizan_requests_total"].value())


def lines(gateway: Gateway, log: str, name: str) -> tuple[int, int]:
    """Return how many whole lines of a log are of such requests, and how many lines of it are no JSON."""
    found, broken = 0, 0
    text = (gateway.state / "log" / f"{log}.jsonl").read_text(encoding="utf-8")
    for line in text.split("\n")[:-1]:
        try:
            found += f"/{name}/" in json.loads(line)["path"]
        except ValueError:
            broken += 1
    return found, broken


def all_logged(gateway: Gateway, count: int, name: str) -> Callable[[], bool]:
    def check() -> bool:
        return lines(gateway, "access", name)[0] == 2 * count and lines(gateway, "audit", name)[0] == count

    return check


def test_logs_that_take_nothing(backend: Backend, bounds: Bounds, figures: Figures) -> None:
    """Expected: every request is judged and answered, the error log tells of both logs, then all is logged.

    A log that is /dev/full needs no rights, so this runs for every user. It is not root's here: nginx would
    change the owner.
    """
    count = min(bounds.answers // 8, 500)
    with Gateway(policy(backend), user="www-data") as gateway:
        gateway.expect_error(FULL)
        assert ask(gateway, 5, "before") == {200: 5, 403: 5}
        wait_for(all_logged(gateway, 5, "before"))
        wait_for(lambda: counted(gateway) == 10)
        folder = gateway.state / "log"
        for log in LOGS:
            (folder / f"{log}.jsonl").rename(folder / f"{log}.jsonl.1")
            (folder / f"{log}.jsonl").symlink_to("/dev/full")
        rotate(gateway)
        assert ask(gateway, count, "full") == {200: count, 403: count}
        for log in LOGS:
            wait_for(partial(complains, gateway, f"{log}.jsonl"))
        wait_for(lambda: counted(gateway) == 10 + 2 * count)
        for log in LOGS:
            (folder / f"{log}.jsonl").unlink()
        rotate(gateway)
        time.sleep(REST)
        assert ask(gateway, 5, "after") == {200: 5, 403: 5}
        wait_for(all_logged(gateway, 5, "after"))
        assert [lines(gateway, log, "full") for log in LOGS] == [(0, 0), (0, 0)]
        assert "exited" not in gateway.stderr()
    figures["answered"] = 2 * count
    figures["lines_lost"] = 2 * count
    figures["events_lost"] = count


def rotate(gateway: Gateway) -> None:
    """Have the logs opened anew, and wait until every worker has."""
    gateway.process.send_signal(signal.SIGUSR1)
    wait_for(partial(has_opened, gateway))


def has_opened(gateway: Gateway) -> bool:
    paths = [gateway.state / "log" / f"{log}.jsonl" for log in LOGS]
    if not all(path.exists() for path in paths):
        return False
    wanted = {inode(path) for path in paths}
    return all(
        wanted <= {inode(file) for file in Path(f"/proc/{pid}/fd").iterdir() if file.exists()}
        for pid in gateway.worker_pids()
    )


def inode(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_dev, about.st_ino


def is_of(request_id: str, event: dict[str, Any]) -> bool:
    return bool(event["request_id"] == request_id)


def complains(gateway: Gateway, log: str) -> bool:
    return any("[alert]" in line and log in line for line in gateway.stderr().splitlines())


def test_a_disk_that_fills_up_under_the_logs(backend: Backend, bounds: Bounds, figures: Figures) -> None:
    """Expected: the same, and logging goes on by itself as soon as there is room; lost is what found none.

    What was cut at the end of the disk stays as a beginning of a line, with the next line behind it.
    """
    count = min(bounds.answers // 8, 500)
    with Gateway(policy(backend)) as gateway, small_disk(gateway.state / "log", "256k") as disk:
        gateway.expect_error(FULL)
        rotate(gateway)
        assert ask(gateway, 5, "before") == {200: 5, 403: 5}
        wait_for(all_logged(gateway, 5, "before"))
        wait_for(lambda: counted(gateway) == 10)
        disk.fill()
        assert ask(gateway, count, "full") == {200: count, 403: count}
        for log in LOGS:
            wait_for(partial(complains, gateway, f"{log}.jsonl"))
        wait_for(lambda: counted(gateway) == 10 + 2 * count)
        disk.make_room()
        time.sleep(REST)
        # The first line may stand behind one that was cut.
        assert ask(gateway, 5, "again") == {200: 5, 403: 5}
        wait_for(lambda: all(lines(gateway, log, "again")[0] >= 4 for log in LOGS))
        assert ask(gateway, 5, "after") == {200: 5, 403: 5}
        wait_for(all_logged(gateway, 5, "after"))
        access, audit = (lines(gateway, log, "full") for log in LOGS)
        assert access[1] <= 1
        assert audit[1] <= 1
        assert access[0] < 2 * count
        assert audit[0] < count
    figures["answered"] = 2 * count
    figures["lines_lost"] = 2 * count - access[0]
    figures["events_lost"] = count - audit[0]
    figures["lines_cut"] = access[1] + audit[1]


@pytest.mark.parametrize("http2", [False, True])
def test_no_room_for_a_body(backend: Backend, http2: bool) -> None:
    """Expected: 500 as problem+json and an event, nothing passed on; small bodies pass."""
    with Gateway(policy(backend)) as gateway:
        gateway.expect_error(FULL)
        with (
            gateway.client(http2=http2) as client,
            small_disk(work_folder(gateway.state) / "temp-body", "64k") as disk,
        ):
            for size in (200_000, 1_000_000, 4_000_000):
                before = len(backend.requests)
                answer = client.post("/open/large", content=b"x" * size)
                assert answer.status_code == 500
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert answer.json()["code"] == "internal_error"
                assert len(backend.requests) == before, "passed on, though not whole"
                event = gateway.wait_for_audit(partial(is_of, answer.json()["request_id"]))
                assert (event["decision"], event["status"]) == ("failed", 500)
                # A small one is kept in memory.
                assert client.post("/open/small", content=b"x" * 1000).status_code == 200
            wait_for(lambda: not list(disk.folder.iterdir()))  # nothing is left behind
            assert re.search(FULL, gateway.stderr())
        with gateway.client(http2=http2) as client:
            assert client.post("/open/large", content=b"x" * 4_000_000).status_code == 200
            assert len(backend.requests[-1].body) == 4_000_000


def test_no_room_for_a_new_policy(backend: Backend) -> None:
    """Expected: one sentence, exit code not 0, the old policy serves on."""
    with Gateway(policy(backend)) as gateway:
        generations = gateway.state / "edge" / "generations"
        with small_disk(generations, "64k") as disk:
            disk.fill()
            done = gateway.reload(ok=False)
            assert "no space left on device" in done.stderr
            assert "Traceback" not in done.stderr
            assert len(done.stderr.splitlines()) == 1
            assert [path.name for path in generations.iterdir()] == ["filler"], "left behind"
            assert ask(gateway, 5, "full") == {200: 5, 403: 5}
        gateway.reload()
        assert ask(gateway, 5, "after") == {200: 5, 403: 5}
