"""`bartizan reload`: no request lost, no count forgotten, and a bad policy never in a good one's place."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import trustme

from bartizan import reload as reloading
from bartizan.errors import BartizanError
from bartizan.generations import KEEP
from bartizan.layout import work_folder
from bartizan.policy import load_policy
from bartizan.prepare import find_layout
from bartizan.readiness import serving_generation
from bartizan.reload import HandoverError
from tests.support.backend import Backend, Response
from tests.support.gateway import ROOT, Gateway, wait_for
from tests.support.ports import free_port


def policy(
    backend: Backend | None = None, route: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Return a policy of one public route."""
    url = backend.url if backend else f"http://127.0.0.1:{free_port()}"
    usual = {"prefix": "/", "methods": ["GET", "POST"], "upstream": "data", "auth": "none"}
    return {"upstreams": {"data": {"servers": [url]}}, "routes": [usual | (route or {})], **more}


def generations(gateway: Gateway) -> list[str]:
    """Return the ids of the generations on disk."""
    return sorted(path.name for path in (gateway.state / "edge" / "generations").iterdir())


def current(gateway: Gateway) -> str:
    """Return the id of the generation that nginx would read."""
    return (gateway.state / "edge" / "current").readlink().name


def test_old_generations_are_cleared_away() -> None:
    """That no request is lost meanwhile is tested in tests/faults/test_reloads.py."""
    with Gateway(policy()) as gateway:
        for _ in range(KEEP + 1):
            gateway.reload()
        assert len(generations(gateway)) == KEEP
        assert generations(gateway)[-1] == current(gateway)
        # nginx -t opens the same internal socket, and must leave it to the one that serves.
        assert (work_folder(gateway.state) / "fetch.sock").is_socket()


def test_limits_keep_their_counts() -> None:
    slow = {"rate": {"limit": "1/h", "burst": 3}}
    with Backend() as backend, Gateway(policy(backend, slow)) as gateway, gateway.client() as client:
        assert [client.get("/").status_code for _ in range(2)] == [200, 200]
        other = {"prefix": "/other", "methods": ["GET"], "upstream": "data", "auth": "none"}
        changed = policy(backend, slow | {"body": "2MiB"})
        gateway.reload(changed | {"routes": [other, *changed["routes"]]})
        assert [client.get("/").status_code for _ in range(3)] == [200, 429, 429]


def test_routes_come_and_go() -> None:
    with (
        Backend() as backend,
        Gateway(policy(backend, {"prefix": "/old"})) as gateway,
        gateway.client() as client,
    ):
        assert [client.get(path).status_code for path in ("/old", "/new")] == [200, 404]
        gateway.reload(policy(backend, {"prefix": "/new"}))
        assert [client.get(path).status_code for path in ("/old", "/new")] == [404, 200]


def test_who_connects_after_it_never_meets_an_old_worker() -> None:
    """For a moment nginx's old workers take connections beside the new ones: the return waits for them."""
    with Gateway(policy(workers=4)) as gateway:
        given, layout = load_policy(gateway.policy_file), find_layout(gateway.state, None)
        for _ in range(3):
            before = set(gateway.worker_pids())
            assert len(before) == 4
            reloading.reload(given, layout, reloading.running_master(layout))
            after = set(gateway.worker_pids())
            assert before.isdisjoint(after)


def test_old_workers_that_stay_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway(policy(workers=1)) as gateway:
        given, layout = load_policy(gateway.policy_file), find_layout(gateway.state, None)
        (worker,) = gateway.worker_pids()
        monkeypatch.setattr(reloading, "HANDOVER", 0)
        os.kill(worker, signal.SIGSTOP)
        try:
            with pytest.raises(HandoverError, match=f"nginx's processes {worker} still take connections"):
                reloading.reload(given, layout, reloading.running_master(layout))
            assert serving_generation(given.listen.operator) == current(gateway)
        finally:
            os.kill(worker, signal.SIGCONT)


def test_a_signal_tells_of_old_workers_that_stay_and_not_of_an_old_policy() -> None:
    with Gateway(policy(workers=1)) as gateway:
        (worker,) = gateway.worker_pids()
        os.kill(worker, signal.SIGSTOP)
        try:
            gateway.process.send_signal(signal.SIGHUP)
            wait_for(lambda: f"nginx's processes {worker} still take" in gateway.stderr())
        finally:
            os.kill(worker, signal.SIGCONT)
        assert "not reloaded" not in gateway.stderr()


def test_a_bad_policy_replaces_nothing() -> None:
    with Backend() as backend, Gateway(policy(backend)) as gateway, gateway.client() as client:
        before = generations(gateway), current(gateway)
        done = gateway.reload(policy(backend, {"upstream": "dota"}), ok=False)
        assert done.stdout == ""
        assert f"{gateway.policy_file}:" in done.stderr
        assert "upstream 'dota' is not defined; did you mean data? (defined: data)" in done.stderr
        assert (generations(gateway), current(gateway)) == before
        assert client.get("/").status_code == 200


def test_a_port_that_another_process_holds_is_refused_before_anything_is_changed() -> None:
    with Backend() as backend, Gateway(policy(backend)) as gateway, gateway.client() as client:
        before = generations(gateway), current(gateway)
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            moved = policy(backend, listen={"http": {"port": port}})
            assert f"port {port} (listen.http) is taken by" in gateway.reload(moved, ok=False).stderr
        assert (generations(gateway), current(gateway)) == before
        assert client.get("/").status_code == 200
        gateway.reload(moved)
        assert httpx.get(f"http://localhost:{port}/x", trust_env=False).status_code == 301


def test_what_nginx_does_not_take_in_time_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    with Backend() as backend, Gateway(policy(backend, {"prefix": "/old"})) as gateway:
        before, workers = current(gateway), set(gateway.worker_pids())
        new = load_policy(gateway.write(policy(backend, {"prefix": "/new"})))
        layout = find_layout(gateway.state, None)
        monkeypatch.setattr(reloading, "PATIENCE", 0)
        with pytest.raises(BartizanError, match="nginx did not take the new policy within 0 s"):
            reloading.reload(new, layout, reloading.running_master(layout), lambda _: False)
        assert current(gateway) == before

        def settled() -> bool:
            # nginx may have taken the new policy for a moment: what counts is where it ends up.
            renewed = workers.isdisjoint(gateway.worker_pids())
            return renewed and serving_generation(new.listen.operator) == before

        wait_for(settled)
        with gateway.client() as client:
            assert client.get("/old").status_code == 200


def _certificate(authority: trustme.CA) -> dict[str, bytes]:
    issued = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    return {"cert.pem": chain, "cert.key": issued.private_key_pem.bytes()}


def _served_certificate(gateway: Gateway, authority: trustme.CA) -> bytes:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    port = int(gateway.https.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""


def test_a_renewed_certificate_is_swapped_in() -> None:
    authority = trustme.CA()
    files = _certificate(authority)
    tls = {"certificate": "cert.pem", "key": "cert.key"}
    with Gateway(policy(tls=tls), files=files) as gateway:
        old = _served_certificate(gateway, authority)
        assert ssl.PEM_cert_to_DER_cert(files["cert.pem"].decode()) == old
        renewed = _certificate(authority)
        (gateway.state / "cert.pem").write_bytes(renewed["cert.pem"])
        refused = gateway.reload(ok=False)
        assert "tls.key" in refused.stderr
        assert _served_certificate(gateway, authority) == old
        (gateway.state / "cert.key").write_bytes(renewed["cert.key"])
        gateway.reload()
        assert ssl.PEM_cert_to_DER_cert(renewed["cert.pem"].decode()) == _served_certificate(
            gateway, authority
        )


def test_an_address_list_is_read_again() -> None:
    route = {"addresses": {"deny_files": ["bad.txt"]}}
    files = {"bad.txt": "192.0.2.0/24\n"}
    with (
        Backend() as backend,
        Gateway(policy(backend, route), files=files) as gateway,
        gateway.client() as client,
    ):
        assert client.get("/").status_code == 200
        (gateway.state / "bad.txt").write_text("127.0.0.0/8\n::1\n", encoding="utf-8")
        assert client.get("/").status_code == 200
        gateway.reload()
        assert client.get("/").status_code == 403


def test_an_answer_that_flows_is_finished() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"first "
        begun.set()
        assert go_on.wait(60)
        yield b"last"

    with ExitStack() as stack:
        backend = stack.enter_context(Backend(lambda _: Response(body=slowly())))
        gateway = stack.enter_context(Gateway(policy(backend)))
        client = stack.enter_context(gateway.client(timeout=60))
        response = stack.enter_context(client.stream("GET", "/"))
        chunks = response.iter_raw()
        received = next(chunks)
        assert begun.wait(30)
        gateway.reload()
        go_on.set()
        received += b"".join(chunks)
        assert received == b"first last"


def test_reloads_at_the_same_time_take_turns() -> None:
    with Backend() as backend, Gateway(policy(backend)) as gateway:
        command = [sys.executable, "-m", "bartizan", "reload", str(gateway.policy_file)]
        command += ["--state", str(gateway.state)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with ExitStack() as stack:
            running = [stack.enter_context(subprocess.Popen(command, cwd=ROOT, **pipes)) for _ in range(3)]
            said = [process.communicate(timeout=120)[0] for process in running]
        assert [process.returncode for process in running] == [0, 0, 0], said
        assert len(generations(gateway)) == KEEP
        with gateway.client() as client:
            assert client.get("/").status_code == 200


def test_a_gateway_that_has_ended_is_not_reloaded() -> None:
    with Gateway(policy()) as gateway:
        gateway.process.terminate()
        gateway.process.wait(30)
        said = gateway.reload(ok=False).stderr
        assert said == (
            f"bartizan: no gateway runs with the state folder {gateway.state}; start one with bartizan run\n"
        )
