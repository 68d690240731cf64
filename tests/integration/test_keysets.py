"""Key sets at a running gateway: fetched once for all workers, renewed, rotated, and remembered."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from bartizan.layout import work_folder
from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway
from tests.support.key_server import (
    PATIENCE,
    KeyServer,
    accepts,
    ask,
    fresh_issuer,
    key_set,
    one,
    policy,
    statuses,
    until,
)
from tests.support.ports import free_port
from tests.support.tokens import SigningKey

# --- Fetching ----------------------------------------------------------------------------------------------


def test_one_fetch_at_a_time_for_all_workers(backend: Backend) -> None:
    """A slow issuer, and four workers that all find the set due."""

    def slow(_request: Request) -> Response:
        time.sleep(1.5)
        return key_set(keys.issuer)

    with KeyServer(fresh_issuer()) as keys:
        keys.answer = slow
        with Gateway({**one(backend, keys), "workers": 4}) as gateway:
            assert len(gateway.worker_pids()) == 4
            until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
            time.sleep(2.5)  # each worker's timer runs twice
            assert len(keys.server.requests) == 1
            assert keys.server.most_at_once == 1


def test_an_issuer_that_knows_etags(backend: Backend) -> None:
    """A plain GET without anything of a client; not modified confirms the set."""

    def tagged(request: Request) -> Response:
        if request.header("If-None-Match") == '"one"':
            return Response(status=304, headers=(("Cache-Control", "max-age=3600"),), body=b"")
        return key_set(keys.issuer, 5, ("ETag", '"one"'))

    with KeyServer(fresh_issuer()) as keys:
        keys.answer = tagged
        with Gateway(one(backend, keys)) as gateway:
            until(lambda: statuses(gateway)["one"].get("due", 0) > 60, "the second answer is noted")
            status = statuses(gateway)["one"]
            assert (status["generation"], status["keys"], status["failures"]) == (1, 3, 0)
            assert "error" not in status
            assert accepts(gateway, keys.issuer.token())
        first, second = keys.server.requests
        assert (first.method, first.target, first.body) == ("GET", "/jwks.json", b"")
        assert first.header("If-None-Match") is None
        assert second.header("If-None-Match") == '"one"'
        assert {name.lower() for name, _ in second.headers} == {
            "host",
            "accept",
            "user-agent",
            "if-none-match",
        }


def test_a_set_that_did_not_change_keeps_its_generation(backend: Backend) -> None:
    with KeyServer(fresh_issuer(), max_age=5) as keys, Gateway(one(backend, keys)) as gateway:
        until(lambda: keys.server.requests, "the set is fetched")
        keys.max_age = 3600
        until(lambda: statuses(gateway)["one"].get("due", 0) > 60, "the second answer is noted")
        assert len(keys.server.requests) == 2
        assert statuses(gateway)["one"]["generation"] == 1
        assert accepts(gateway, keys.issuer.token())


def test_a_new_key_is_found_by_its_unknown_kid(backend: Backend) -> None:
    """The set was fresh for an hour, and every worker learns of the new one."""
    with KeyServer(fresh_issuer()) as keys, Gateway(one(backend, keys)) as gateway:
        until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
        keys.issuer.keys["new"] = SigningKey.make("EdDSA", "new")
        token = keys.issuer.forge({"alg": "new"})
        assert ask(gateway, token).status_code == 401
        until(lambda: accepts(gateway, token), "the new key is fetched")
        # New connections, so that both workers are met: none of them refuses from now on.
        assert [ask(gateway, token).status_code for _ in range(20)] == [200] * 20
        assert len(keys.server.requests) == 2


def test_a_key_that_is_taken_back_is_taken_from_remembered_tokens_too(backend: Backend) -> None:
    with KeyServer(fresh_issuer(), max_age=5) as keys, Gateway(one(backend, keys)) as gateway:
        until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
        token, other = keys.issuer.token("ES256"), keys.issuer.token("EdDSA")
        assert [ask(gateway, token).status_code for _ in range(6)] == [200] * 6
        del keys.issuer.keys["ES256"]
        until(lambda: not accepts(gateway, token), "the key is gone")
        until(lambda: statuses(gateway)["one"]["generation"] == 2, "the new set is there")
        time.sleep(1.5)  # every worker has looked
        assert [ask(gateway, token).status_code for _ in range(20)] == [401] * 20
        assert accepts(gateway, other)


# --- Restarts and reloads ----------------------------------------------------------------------------------


def restart(gateway: Gateway, policy: dict[str, Any] | None = None) -> None:
    """Stop the gateway and start it again in the same state folder, with another policy if one is given."""
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(30) == 0
    if policy is not None:
        gateway.write(policy)
    gateway.process = gateway._start()

    def ready() -> bool:
        try:
            return httpx.get(f"{gateway.operator}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    until(ready, "the gateway is ready again")


def remembered(gateway: Gateway) -> Path:
    return work_folder(gateway.state) / "keys" / "one.json"


def test_a_restart_begins_with_what_is_on_disk(backend: Backend) -> None:
    with KeyServer(fresh_issuer()) as keys, Gateway(one(backend, keys)) as gateway:
        gateway.expect_error("upstream prematurely closed|no new key set .* 502")
        until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
        keys.go_away()
        restart(gateway)
        assert accepts(gateway, keys.issuer.token())
        until(lambda: statuses(gateway)["one"]["failures"], "the fetch fails")
        status = statuses(gateway)["one"]
        assert status["keys"] == 3
        assert status["age"] < PATIENCE * 2
        assert accepts(gateway, keys.issuer.token("ES256"))


def test_the_file_is_private_and_whole(backend: Backend) -> None:
    with KeyServer(fresh_issuer()) as keys, Gateway(one(backend, keys)) as gateway:
        until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
        path = remembered(gateway)
        until(path.exists, "the set is remembered")
        record = json.loads(path.read_text())
        assert json.loads(record["set"]) == keys.issuer.jwks()
        assert path.parent.stat().st_mode & 0o077 == 0
        assert [entry.name for entry in path.parent.iterdir()] == ["one.json"]


@pytest.mark.parametrize("change", ["issuer", "address"])
def test_another_issuer_does_not_get_the_keys_of_the_one_before(backend: Backend, change: str) -> None:
    """Over a restart, and over a reload, which keeps the shared memory."""
    with KeyServer(fresh_issuer()) as keys, Gateway(one(backend, keys)) as gateway:
        gateway.expect_error("connect\\(\\) failed .* to upstream|no new key set .* 502")
        gateway.expect_error("upstream prematurely closed|no new key set .* 502")
        until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
        iss = "https://other.test" if change == "issuer" else keys.issuer.issuer
        url = f"http://127.0.0.1:{free_port()}/" if change == "address" else keys.url
        keys.go_away()
        other = policy(backend, {"one": (iss, url)})
        gateway.reload(other)
        until(lambda: ask(gateway, keys.issuer.token()).status_code == 503, "the reload forgets the keys")
        assert [ask(gateway, keys.issuer.token(iss=iss)).status_code for _ in range(10)] == [503] * 10
        restart(gateway, other)
        assert [ask(gateway, keys.issuer.token(iss=iss)).status_code for _ in range(10)] == [503] * 10


def test_a_damaged_file_is_said_and_not_used(backend: Backend) -> None:
    with KeyServer(fresh_issuer()) as keys, Gateway(one(backend, keys)) as gateway:
        gateway.expect_error("upstream prematurely closed|no new key set .* 502")
        gateway.expect_error("the remembered key set is not used")
        until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
        keys.go_away()
        remembered(gateway).write_text('{"format":1,"issuer":"https://issuer.test","jw')
        restart(gateway)
        assert ask(gateway, keys.issuer.token()).status_code == 503
        assert "the remembered key set is not used" in gateway.stderr()
        keys.come_back()
        until(lambda: accepts(gateway, keys.issuer.token()), "the keys come again")


def test_a_reload_keeps_the_keys_without_asking(backend: Backend) -> None:
    with KeyServer(fresh_issuer()) as keys, Gateway(one(backend, keys)) as gateway:
        until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
        keys.go_away()
        gateway.reload({**one(backend, keys), "workers": 1})
        assert [ask(gateway, keys.issuer.token()).status_code for _ in range(10)] == [200] * 10
        assert len(keys.server.requests) == 1


def test_a_reload_that_admits_other_algorithms_looks_again(backend: Backend) -> None:
    with KeyServer(fresh_issuer()) as keys, Gateway(one(backend, keys)) as gateway:
        gateway.expect_error("no new key set")
        until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
        gateway.reload(one(backend, keys, algorithms=["EdDSA"]))
        until(lambda: statuses(gateway)["one"]["keys"] == 1, "only one key is left")
        assert accepts(gateway, keys.issuer.token("EdDSA"))
        until(lambda: not accepts(gateway, keys.issuer.token("RS512")), "RS512 is no more")
        gateway.reload(one(backend, keys, algorithms=["PS384"]))
        until(lambda: ask(gateway, keys.issuer.token("EdDSA")).status_code == 503, "no key is left")
        until(lambda: statuses(gateway)["one"].get("error"), "and it is said why")
        assert "no key for the algorithms that the policy admits" in statuses(gateway)["one"]["error"]


def test_a_disk_that_takes_nothing_is_an_alarm_and_no_more(backend: Backend) -> None:
    with KeyServer(fresh_issuer(), max_age=5) as keys, Gateway(one(backend, keys)) as gateway:
        gateway.expect_error("the key set is not remembered on disk")
        until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
        path = remembered(gateway)
        until(path.exists, "the set is remembered")
        path.unlink()
        path.mkdir()
        keys.issuer.keys["new"] = SigningKey.make("EdDSA", "new")
        until(
            lambda: accepts(gateway, keys.issuer.forge({"alg": "new"})), "the new set is taken all the same"
        )
        until(lambda: "is not remembered on disk" in gateway.stderr(), "it is logged")
