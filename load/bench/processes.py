"""Processes in the foreground: started, waited for, and stopped by their ids."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

PATIENCE: Final = 30.0
_libc: Final = ctypes.CDLL(None)


class NotStartedError(Exception):
    """A process did not come up; the message has the end of its log."""


class Process:
    """A command that runs until it is stopped.

    Attributes:
        pid: its process id.
        log: where its standard output and standard error go.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        output: Path | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start a command.

        Args:
            command: with its arguments.
            log: where standard error goes, and standard output if it has no file of its own.
            output: where standard output goes.
            environment: further variables.
            cwd: the folder that it runs in.
        """
        self.log = log
        with log.open("wb") as errors, (output or log).open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 (commands of our own)
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                cwd=cwd,
                preexec_fn=_end_with_the_bench,  # noqa: PLW1509 (this program has one thread)
            )
        self.pid = self._process.pid

    def wait_for_port(self, port: int) -> None:
        """Wait until something listens on a port of 127.0.0.1; where nothing comes of it, stop.

        Raises:
            NotStartedError: nothing listens there in time.
        """
        try:
            self._await_port(port)
        except BaseException:
            self.stop()
            raise

    def _await_port(self, port: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise NotStartedError(f"does not listen on port {port}:\n{self.said()}") from None
                time.sleep(0.02)
            else:
                return

    def said(self) -> str:
        """Return the end of the log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def stop(self) -> None:
        """Stop it, with SIGKILL if it does not on SIGTERM."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _end_with_the_bench() -> None:
    # A killed bench leaves nothing running (PR_SET_PDEATHSIG). Ctrl-C reaches the bench alone, which then
    # stops all in order.
    _libc.prctl(1, signal.SIGTERM)
    os.setpgid(0, 0)
