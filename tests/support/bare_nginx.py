"""An nginx with nothing but some Lua in it, for what a whole gateway can't be brought to (a full store)."""

import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
import psutil

from tests.support.lua import ROOT
from tests.support.ports import free_port

MODULES: Final = Path("/usr/lib/nginx/modules")
PATIENCE: Final = 30.0
_BAD_LINE: Final = re.compile(r"\[(error|crit|alert|emerg)\]")

_CONFIGURATION: Final = """
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
{user}
worker_processes {workers};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    lua_package_path "{root}/lua/?.lua;/usr/share/lua/5.1/?.lua;;";
    {http}
    server {{
        listen 127.0.0.1:{port} reuseport;
        {server}
    }}
}}
"""


class BareNginx:
    """A running nginx.

    Attributes:
        url: where it listens.
        folder: what it writes to.
    """

    def __init__(self, http: str, server: str, workers: int = 2) -> None:
        """Start it and wait until it answers `/`, which `server` must make it do.

        Args:
            http: directives at http level, Lua blocks among them.
            server: directives at server level.
            workers: how many processes.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="bartizan-bare-")
        self.folder = Path(self._folder.name)
        self._expected: list[re.Pattern[str]] = []
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                modules=MODULES,
                user="user root;" if os.getuid() == 0 else "",
                workers=workers,
                folder=self.folder,
                root=ROOT,
                http=http,
                port=port,
                server=server,
            )
        )
        # A connection for each request, so that either worker may answer.
        self._client = httpx.Client(
            base_url=self.url, timeout=20, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._process = subprocess.Popen(
            ["nginx", "-p", self.folder, "-c", configuration, "-e", self.folder / "error.log"],
            stdin=subprocess.DEVNULL,
        )
        try:
            self._await()
        except BaseException:
            self._end()
            raise

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask; `X_Key="a"` sends `X-Key: a`."""
        return self._client.get(
            path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def worker_pids(self) -> list[int]:
        """Return the processes of the workers."""
        return sorted(child.pid for child in psutil.Process(self._process.pid).children())

    def expect_error(self, pattern: str) -> None:
        """Admit error lines that hold a pattern."""
        self._expected.append(re.compile(pattern))

    def stop(self) -> None:
        """Stop, and fail on an unexpected error line."""
        log = self.folder / "error.log"
        self._end()
        text = log.read_text(errors="replace") if log.exists() else ""
        self._folder.cleanup()
        bad = [
            line
            for line in text.splitlines()
            if _BAD_LINE.search(line) and not any(pattern.search(line) for pattern in self._expected)
        ]
        assert not bad, "unexpected error lines:\n" + "\n".join(bad)

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

    def _await(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.get("/")
            except httpx.TransportError:
                assert self._process.poll() is None, self._said()
                assert time.monotonic() < deadline, self._said()
                time.sleep(0.02)
            else:
                return

    def _said(self) -> str:
        log = self.folder / "error.log"
        return log.read_text(errors="replace") if log.exists() else "nginx did not start"

    def _end(self) -> None:
        self._client.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                for pid in self.worker_pids():
                    os.kill(pid, signal.SIGKILL)
                self._process.kill()
                self._process.wait()
