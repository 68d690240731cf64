"""`bartizan run`: ready when it says so, gone when it ends, and clear about what is in its way."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from bartizan.layout import work_folder
from tests.support.backend import Backend, Response
from tests.support.gateway import ROOT, Gateway, bartizan, wait_for
from tests.support.ports import free_port


def policy(backend: Backend | None = None, **more: Any) -> dict[str, Any]:
    """Return a policy of one public route."""
    url = backend.url if backend else f"http://127.0.0.1:{free_port()}"
    route = {"prefix": "/", "methods": ["GET", "POST"], "upstream": "data", "auth": "none"}
    return {"upstreams": {"data": {"servers": [url]}}, "routes": [route], **more}


def gone(pids: list[int], seconds: float = 30) -> bool:
    """Wait until processes have ended, and say whether they have."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return not psutil.wait_procs(processes, timeout=seconds)[1]


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Listen on a port."""
    with socket.create_server(("127.0.0.1", port)):
        yield


class Unstarted:
    """A state folder and a policy file on free ports, for starts that must fail."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.ports = {name: free_port() for name in ("https", "http", "operator")}
        self.policy = folder / "gateway.yaml"
        self.write(policy(listen=self.ports))

    def write(self, content: dict[str, Any]) -> None:
        """Write the policy file."""
        self.policy.write_text(str(content).replace("'", '"'), encoding="utf-8")

    def fails(self, *arguments: str | Path) -> str:
        """Run, check that it fails and leaves nothing running, and return what it said."""
        before = {process.pid for process in psutil.process_iter()}
        done = bartizan("run", self.policy, "--state", self.state, *arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        ours = [
            process
            for process in psutil.process_iter(["cmdline"])
            if process.pid not in before and str(self.state) in " ".join(process.info["cmdline"] or [])
        ]
        assert ours == []
        for port in self.ports.values():
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0 or port == self.held
        return done.stderr

    held: int | None = None


@pytest.fixture
def unstarted(tmp_path: Path) -> Iterator[Unstarted]:
    start = Unstarted(tmp_path)
    yield start
    work = work_folder(start.state)
    if work.exists():
        subprocess.run(["rm", "-r", str(work)], check=True)


def test_it_is_ready_when_it_says_so() -> None:
    with Backend() as backend, Gateway(policy(backend)) as gateway:
        assert f"bartizan: ready: {gateway.https} (routes: 1;" in gateway.stderr()
        with gateway.client() as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/hello").text == "ok\n"
        answer = httpx.get(f"{gateway.operator}/readyz", trust_env=False)
        assert answer.status_code == 200
        assert answer.json()["generation"] == (gateway.state / "edge" / "current").readlink().name


def test_keys_and_logs_are_for_those_who_need_them() -> None:
    with Gateway(policy()) as gateway:
        modes = {
            str(path.relative_to(gateway.state)): path.stat().st_mode & 0o777
            for path in [
                *gateway.state.glob("tls/*.key"),
                gateway.state / "log",
                *gateway.state.glob("edge/current/*"),
            ]
        }
        for name, mode in modes.items():
            assert mode & 0o007 == 0, f"{name} is {mode:o}"
        if os.geteuid() == 0:
            users = {psutil.Process(pid).username() for pid in gateway.worker_pids()}
            assert users == {"www-data"}


def test_sigterm_finishes_the_requests_in_flight() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def respond(_: object) -> Response:
        asked.set()
        assert go_on.wait(30)
        return Response(body=b"finished\n")

    answers: list[str] = []

    def ask(gateway: Gateway) -> None:
        with gateway.client() as client:
            answers.append(client.get("/slow").text)

    with Backend(respond) as backend, Gateway(policy(backend)) as gateway:
        request = threading.Thread(target=ask, args=(gateway,))
        request.start()
        assert asked.wait(30)
        gateway.process.terminate()
        wait_for(lambda: "bartizan: stopping" in gateway.stderr())
        go_on.set()
        request.join(30)
        assert gateway.process.wait(30) == 0
        assert answers == ["finished\n"]
        assert gateway.stderr().endswith("bartizan: stopped\n")


def test_a_second_signal_cuts_off_what_takes_too_long() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def respond(_: object) -> Response:
        asked.set()
        go_on.wait(60)
        return Response()

    def ask(gateway: Gateway) -> None:
        with gateway.client(timeout=60) as client, pytest.raises(httpx.HTTPError):
            client.get("/slow")
        cut.set()

    cut = threading.Event()
    with Backend(respond) as backend, Gateway(policy(backend)) as gateway:
        gateway.expect_error(r"open socket #\d+ left in connection|\[alert\] \d+#\d+: aborting")
        request = threading.Thread(target=ask, args=(gateway,))
        request.start()
        assert asked.wait(30)
        gateway.process.terminate()
        wait_for(lambda: "bartizan: stopping" in gateway.stderr())
        gateway.process.terminate()
        assert gateway.process.wait(30) == 0
        assert "requests that took too long were cut off" in gateway.stderr()
        assert cut.wait(30)
        go_on.set()
        request.join(30)


def test_ctrl_c_stops_it() -> None:
    with Gateway(policy()) as gateway:
        workers = gateway.worker_pids()
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(30) == 0
        assert gone(workers)


def test_nginx_ends_with_a_command_that_was_killed() -> None:
    with Gateway(policy()) as gateway:
        pids = [gateway.master, *gateway.worker_pids()]
        gateway.process.kill()
        gateway.process.wait()
        assert gone(pids)
        again = bartizan("check", gateway.policy_file, "--ports-free")
        assert again.returncode == 0, again.stderr


def test_it_ends_with_an_nginx_that_was_killed() -> None:
    with Gateway(policy()) as gateway:
        gateway.expect_error("nginx ended by itself")
        workers = gateway.worker_pids()
        os.kill(gateway.master, signal.SIGKILL)
        assert gateway.process.wait(30) == 1
        assert gone(workers)
        assert "bartizan: nginx ended by itself (by signal SIGKILL)" in gateway.stderr()


def test_a_killed_worker_is_replaced() -> None:
    with Backend() as backend, Gateway(policy(backend, workers=2)) as gateway:
        gateway.expect_error(r"worker process \d+ exited on signal 9")
        old = gateway.worker_pids()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(set(gateway.worker_pids()) - set(old)) == 2)
        with gateway.client() as client:
            assert client.get("/hello").status_code == 200


def test_a_socket_that_a_killed_gateway_left_is_no_hindrance() -> None:
    with Gateway(policy()) as gateway:
        leftover = work_folder(gateway.state) / "fetch.sock"
        assert leftover.is_socket()
        group = psutil.Process(gateway.process.pid).children(recursive=True)
        gateway.process.kill()
        for process in group:  # before the kernel's signal lets nginx tidy up
            process.kill()
        gateway.process.wait()
        assert gone([process.pid for process in group])
        if not leftover.exists():
            socket.socket(socket.AF_UNIX).bind(str(leftover))
        gateway.restart()
        with gateway.client() as client:
            assert client.get("/healthz").status_code == 200


def test_a_state_folder_has_one_gateway() -> None:
    with Gateway(policy()) as gateway:
        second = bartizan("run", gateway.policy_file, "--state", gateway.state)
        assert second.returncode == 1
        assert second.stderr == (
            f"bartizan: a gateway already runs with the state folder {gateway.state}"
            f" (process {gateway.process.pid}); stop it, reload it, or use another --state DIR\n"
        )
        with gateway.client() as client:
            assert client.get("/healthz").status_code == 200


def test_logs_are_reopened_on_sigusr1() -> None:
    with Backend() as backend, Gateway(policy(backend)) as gateway, gateway.client() as client:
        client.get("/before")
        gateway.wait_for_access(lambda line: line["path"] == "/before")
        log = gateway.state / "log" / "access.jsonl"
        log.rename(log.with_suffix(".1"))
        gateway.process.send_signal(signal.SIGUSR1)
        wait_for(log.exists)
        # Workers follow the master one by one; until then they write to the old file.
        wait_for(lambda: client.get("/after").status_code == 200 and gateway.access())
        assert {line["path"] for line in gateway.access()} == {"/after"}


def test_sighup_reloads_and_refuses_a_bad_policy() -> None:
    with Backend() as backend, Gateway(policy(backend)) as gateway, gateway.client() as client:
        good = gateway.policy
        gateway.write({**good, "routes": []})
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "not reloaded: the old policy serves on" in gateway.stderr())
        assert "routes: is empty" in gateway.stderr()
        assert client.get("/hello").status_code == 200
        gateway.write({**good, "routes": [{**good["routes"][0], "prefix": "/new"}]})
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "bartizan: reloaded: generation" in gateway.stderr())
        with gateway.client() as fresh:
            assert fresh.get("/hello").status_code == 404


def test_a_disk_that_takes_no_more_ends_nothing() -> None:
    """A limit on the size of its files stands for a full disk; the log of the run is smaller."""
    with Backend() as backend, Gateway(policy(backend)) as gateway, gateway.client() as client:
        gateway.expect_error("can't write to the disk")
        usual = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (4096, usual[1]))
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "not reloaded: the old policy serves on" in gateway.stderr())
        assert "bartizan: can't write to the disk: file too large" in gateway.stderr()
        assert client.get("/hello").status_code == 200
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, usual)
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "bartizan: reloaded: generation" in gateway.stderr())


def test_systemd_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        with Gateway(policy(), environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}):
            assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"STOPPING=1"


def test_stopped_before_it_is_ready_leaves_nothing(unstarted: Unstarted) -> None:
    command = [
        sys.executable,
        "-m",
        "bartizan",
        "run",
        str(unstarted.policy),
        "--state",
        str(unstarted.state),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "starting" in line:
                break
        process.terminate()
        rest = process.stdout.read()
        # It may have become ready in between; then it stops as usual.
        assert process.wait(30) == (0 if rest.endswith("bartizan: stopped\n") else 1)
    assert bartizan("check", unstarted.policy, "--ports-free").returncode == 0


def test_it_waits_for_the_services_behind_it_and_then_says_the_hint(unstarted: Unstarted) -> None:
    port = free_port()
    content = policy(listen=unstarted.ports)
    content["upstreams"]["data"]["servers"] = [f"http://127.0.0.1:{port}"]
    unstarted.write(content)
    command = [
        sys.executable,
        "-m",
        "bartizan",
        "run",
        str(unstarted.policy),
        "--state",
        str(unstarted.state),
    ]
    command += ["--wait", "60", "--hint", "now ask"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line.strip())
            if "waiting" in line:
                break
        assert said[-1] == f"bartizan: waiting for http://127.0.0.1:{port}"
        with taken(port):
            for line in process.stdout:
                said.append(line.strip())
                if "now ask" in line:
                    break
            process.terminate()
            process.stdout.read()
            assert process.wait(30) == 0
    assert said[-1] == "bartizan: now ask"
    assert "ready: https://" in said[-2]


@pytest.mark.parametrize("name", ["https", "http", "operator"])
def test_a_taken_port_is_told_with_its_holder(unstarted: Unstarted, name: str) -> None:
    unstarted.held = unstarted.ports[name]
    with taken(unstarted.held):
        said = unstarted.fails()
        assert re.fullmatch(
            rf"bartizan: port {unstarted.held} \(listen\.{name}\) is taken by \S+ \(process {os.getpid()}\);"
            r" stop what listens there, or choose another port\n",
            said,
        )
        check = bartizan("check", unstarted.policy, "--ports-free")
        assert (check.returncode, check.stderr) == (1, said)
        assert bartizan("check", unstarted.policy).returncode == 0


def test_a_missing_nginx_is_told(unstarted: Unstarted) -> None:
    said = unstarted.fails("--nginx", "/nowhere/nginx")
    assert said == (
        "bartizan: /nowhere/nginx is not a program that can be run; name nginx's binary with --nginx PATH\n"
    )


def test_a_lua_module_that_is_known_to_fail_is_refused(unstarted: Unstarted, tmp_path: Path) -> None:
    module = tmp_path / "ngx_http_lua_module.so"
    module.touch()
    nginx = tmp_path / "nginx"
    nginx.write_text(
        f"#!/bin/sh\n[ \"$1\" = -V ] && echo 'nginx version: nginx/1.26.0 --modules-path={tmp_path}' >&2"
        " || printf 'ngx_lua 10026'\n",
        encoding="utf-8",
    )
    nginx.chmod(0o755)
    said = unstarted.fails("--nginx", nginx)
    assert said.startswith(f"bartizan: {nginx} has ngx_lua 0.10.26: it fails on HTTP/2 requests whose body")


def test_a_bad_policy_starts_nothing(unstarted: Unstarted) -> None:
    unstarted.write(policy(listen=unstarted.ports) | {"routes": []})
    said = unstarted.fails()
    assert "routes: is empty" in said
    assert not unstarted.state.exists()


def test_render_serves_nothing_and_says_where(unstarted: Unstarted) -> None:
    done = bartizan("render", unstarted.policy, "--state", unstarted.state)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.parent == unstarted.state / "edge" / "generations"
    assert {"nginx.conf", "edge.json"} <= {path.name for path in folder.iterdir()}
    assert not (unstarted.state / "edge" / "current").exists()
