"""A real gateway on free ports: `bartizan run` in a folder of its own, and nothing left of it afterwards."""

import ctypes
import json
import os
import pwd
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
import psutil

from bartizan.layout import work_folder
from tests.support.ports import free_port
from tests.support.raw import exchange

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 60.0
# The Core Rule Set is compiled once, which takes long where many tests run.
PATIENCE_WITH_RULES: Final = 600.0
# Compiled rules, which all gateways of the tests share: to compile them anew for each would take seconds.
RULES: Final = ROOT / "build" / "test-rules"
_BAD_LINE: Final = re.compile(
    r"\[(error|crit|alert|emerg)\]|Traceback|^bartizan: .*(can't|did not|ended by itself)"
)
T = TypeVar("T")
_libc: Final = ctypes.CDLL(None)


def bartizan(
    *arguments: str | Path, prefix: Sequence[str] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the operator's command to its end, behind a prefix such as `as_user` gives."""
    command = [*prefix, sys.executable, "-m", "bartizan", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, **options
    )


def as_user(user: pwd.struct_passwd) -> list[str]:
    """Return what runs a command as another user, where the tests run as root."""
    prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    prefix += ["--pdeathsig", "TERM"]
    plain = subprocess.run([*prefix, sys.executable, "--version"], capture_output=True, check=False)
    if plain.returncode != 0:
        # Python or the checkout lies under /root: this capability reads there, and writes nowhere.
        prefix += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return prefix


def wait_for(condition: Callable[[], T | None], seconds: float = 30) -> T:
    """Return what a condition returns as soon as that is true; raise TimeoutError if it is not in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come within {seconds} s")
        time.sleep(0.02)
    return value


class Gateway:
    """A running gateway.

    Attributes:
        policy: what it was started with, the ports filled in.
        state: its state folder.
        process: `bartizan run`.
    """

    def __init__(
        self,
        policy: Mapping[str, Any],
        *,
        files: Mapping[str, str | bytes] | None = None,
        environment: Mapping[str, str] | None = None,
        ports: Mapping[str, int] | None = None,
        user: str | None = None,
        open_files: int | None = None,
        own_rules: bool = False,
    ) -> None:
        """Start a gateway and wait until it is ready.

        Args:
            policy: as in gateway.yaml. Listeners that it does not turn off get free ports.
            files: further files beside the policy (certificates, address lists), by name.
            environment: further variables for the command.
            ports: of `https`, `http` and `operator`, where the policy has to name one elsewhere too.
            user: whom it runs as where the tests run as root; None for root.
            open_files: how many files each of its processes may open; None for as many as usual.
            own_rules: whether it compiles its rules itself, and keeps them for itself.
        """
        self.state = Path(tempfile.mkdtemp(prefix="bartizan-test-"))
        self.state.chmod(0o755)  # workers reopen their logs in it
        if not own_rules:
            RULES.mkdir(parents=True, exist_ok=True)
            (self.state / "rules").symlink_to(RULES)
        self._ports = {name: free_port() for name in ("https", "http", "operator")} | dict(ports or {})
        self._expected: list[re.Pattern[str]] = []
        self._stopped = False
        self._environment = {**os.environ, **(environment or {})}
        for name, content in (files or {}).items():
            data = content.encode() if isinstance(content, str) else content
            (self.state / name).write_bytes(data)
        self.policy: dict[str, Any] = {}
        self.write(policy)
        self._prefix = ["prlimit", f"--nofile={open_files}:{open_files}"] if open_files else []
        if user is not None and os.geteuid() == 0:
            account = pwd.getpwnam(user)
            self._prefix += as_user(account)
            for path in (self.state, *(path for path in self.state.iterdir() if not path.is_symlink())):
                os.chown(path, account.pw_uid, account.pw_gid)
        self._log = (self.state / "run.log").open("ab")
        self.process = self._start()
        try:
            self._await_ready()
        except BaseException:
            self._kill()
            shutil.rmtree(self.state)
            raise

    def write(self, policy: Mapping[str, Any]) -> Path:
        """Write a policy (it takes no effect yet) and return its path."""
        self.policy = deepcopy(dict(policy))
        listen = self.policy.setdefault("listen", {})
        for name in ("https", "http"):
            given = listen.setdefault(name, {})
            if isinstance(given, dict):
                given.setdefault("port", self._ports[name])
        listen.setdefault("operator", self._ports["operator"])
        self.policy_file.write_text(json.dumps(self.policy, indent=1), encoding="utf-8")
        return self.policy_file

    @property
    def policy_file(self) -> Path:
        """The policy file; JSON is YAML."""
        return self.state / "gateway.yaml"

    @property
    def https(self) -> str:
        """The URL of the https listener."""
        return f"https://localhost:{self._ports['https']}"

    @property
    def http(self) -> str:
        """The URL of the http listener."""
        return f"http://localhost:{self._ports['http']}"

    @property
    def operator(self) -> str:
        """The URL of the operator's listener."""
        return f"http://127.0.0.1:{self._ports['operator']}"

    @property
    def ca(self) -> Path:
        """The development authority that signed the certificate."""
        return self.state / "tls" / "ca.pem"

    @property
    def master(self) -> int:
        """The process id of nginx's master."""
        return int((self.state / "edge" / "nginx.pid").read_text())

    def context(self) -> ssl.SSLContext:
        """Return a TLS context that trusts the gateway."""
        return ssl.create_default_context(cafile=str(self.ca))

    def client(self, **options: Any) -> httpx.Client:
        """Return an HTTP client for the https listener; use it in a `with`."""
        usual: dict[str, Any] = {"base_url": self.https, "verify": self.context(), "timeout": 20}
        return httpx.Client(**usual | options)

    def raw(self, data: bytes, *, tls: bool = True, **options: Any) -> bytes:
        """Send bytes to the https (or http) listener and return what comes back; see `tests.support.raw`."""
        port = self._ports["https" if tls else "http"]
        return exchange(port, data, tls=self.context() if tls else None, **options)

    def access(self) -> list[dict[str, Any]]:
        """Return the access log's lines so far."""
        return _events(self.state / "log" / "access.jsonl")

    def audit(self) -> list[dict[str, Any]]:
        """Return the audit log's events so far."""
        return _events(self.state / "log" / "audit.jsonl")

    def wait_for_access(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Return the first line of the access log that fits; a line is written after the answer was sent."""
        return _first(self.access, condition)

    def wait_for_audit(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Return the first audit event that fits; an event is written after the answer was sent."""
        return _first(self.audit, condition)

    def stderr(self) -> str:
        """Return what `bartizan run` and nginx said so far."""
        return (self.state / "run.log").read_text(encoding="utf-8", errors="replace")

    def expect_error(self, pattern: str) -> None:
        """Admit error lines that hold a pattern; all others fail the test when the gateway stops."""
        self._expected.append(re.compile(pattern))

    def command(self, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run another of the operator's commands on this gateway."""
        return bartizan(name, self.policy_file, "--state", self.state, *arguments, prefix=self._prefix)

    def reload(
        self, policy: Mapping[str, Any] | None = None, *, ok: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Reload, with a new policy if one is given, and return what the command said.

        Args:
            policy: as for the start; listeners keep their ports.
            ok: whether it must succeed or must fail.
        """
        if policy is not None:
            self.write(policy)
        done = self.command("reload")
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done

    def worker_pids(self) -> list[int]:
        """Return nginx's workers that take connections, without those that only finish what they have."""
        pids = []
        for child in psutil.Process(self.master).children():
            try:
                title = " ".join(child.cmdline())
            except psutil.NoSuchProcess:  # it has ended meanwhile
                continue
            if "worker process" in title and "shutting down" not in title:
                pids.append(child.pid)
        return sorted(pids)

    def restart(self) -> None:
        """Start again in the same folder after `process` has ended."""
        assert self.process.poll() is not None, "it still runs"
        self._log.truncate(0)
        self.process = self._start()
        self._await_ready()

    def stop(self) -> None:
        """Stop, and fail on an unexpected error line or on anything that is left."""
        if self._stopped:
            return
        group = self._group()
        running = self.process.poll() is None
        if running:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self._kill()
                raise AssertionError(f"bartizan run did not stop on SIGTERM:\n{self.stderr()}") from None
        code = self.process.returncode
        left = [
            process for process in group if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        ]
        self._kill()
        lines = self.unexpected_errors()
        shutil.rmtree(self.state)
        assert not running or code == 0, f"bartizan run ended with {code}"
        assert not left, f"left running: {left}"
        assert not lines, "unexpected error lines (expect_error admits them):\n" + "\n".join(lines)

    def unexpected_errors(self) -> list[str]:
        """Return the error lines so far that no `expect_error` admits."""
        return [
            line
            for line in self.stderr().splitlines()
            if _BAD_LINE.search(line) and not any(pattern.search(line) for pattern in self._expected)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except AssertionError:
            if error is None:  # otherwise the test's own failure is what is told
                raise

    def _start(self) -> subprocess.Popen[bytes]:
        def end_with_the_tests() -> None:
            _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed test run leaves no gateway

        command = [*self._prefix, sys.executable, "-m", "bartizan", "run", str(self.policy_file)]
        return subprocess.Popen(
            [*command, "--state", str(self.state)],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_the_tests,  # noqa: PLW1509
        )

    def _await_ready(self) -> None:
        patience = PATIENCE_WITH_RULES if '"waf"' in self.policy_file.read_text("utf-8") else PATIENCE
        deadline = time.monotonic() + patience
        while "bartizan: ready: " not in self.stderr():
            assert self.process.poll() is None, f"bartizan run ended:\n{self.stderr()}"
            assert time.monotonic() < deadline, f"bartizan run is not ready:\n{self.stderr()}"
            time.sleep(0.02)
        # A worker serves a moment before it calls itself one.
        wait_for(lambda: len(self.worker_pids()) == len(psutil.Process(self.master).children()))

    def _group(self) -> list[psutil.Process]:
        try:
            return list(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def _kill(self) -> None:
        """Make sure that nothing is left, whatever state the gateway is in."""
        self._stopped = True
        for process in self._group():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._log.close()
        work = work_folder(self.state)
        if work.exists():
            shutil.rmtree(work)


def _events(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    # The last line may still be being written.
    # And splitlines() would end one within a string, at characters such as U+2028.
    return [json.loads(line) for line in text.split("\n")[:-1]]


def _first(
    read: Callable[[], list[dict[str, Any]]], condition: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        return next((event for event in read() if condition(event)), None)

    try:
        return wait_for(found)
    except TimeoutError:
        raise AssertionError(f"no event fits; the last ones are {read()[-3:]}") from None
