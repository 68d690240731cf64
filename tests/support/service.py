"""A service as it is started: a process that logs JSON to stderr, and nothing left of it afterwards."""

import ctypes
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 60.0
_libc: Final = ctypes.CDLL(None)


class Service:
    """A running service.

    Attributes:
        process: its process.
        events: what it has logged; a line that is no JSON (a trace, say) stands there as an error.
    """

    def __init__(self, module: str, *arguments: str | Path, ready: str = "listening") -> None:
        """Start `python -m MODULE` and wait until it is ready.

        Args:
            module: `upstream` or `tokendealer`.
            arguments: for its command, which has to log JSON.
            ready: the event by which it tells that it is.
        """
        self.events: list[dict[str, Any]] = []
        self._module = module
        self._arguments = list(map(str, arguments))
        self._ready = ready
        self._expected: set[str] = set()
        self._killed = False
        self._start()

    def _start(self) -> None:
        self._seen_ready = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", self._module, *self._arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_end_with_the_tests,  # noqa: PLW1509
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._seen_ready.wait(PATIENCE) or self.process.poll() is not None:
            self.process.kill()
            self._finish()
            raise AssertionError(f"{self._module} is not ready: {self.events}")

    def kill(self) -> None:
        """Kill it, without a chance to tidy up; a test that does so may leave it killed."""
        self.process.kill()
        self._finish()
        self._killed = True

    def restart(self) -> None:
        """Start it again, on the port that it had, after it has ended."""
        assert self.process.poll() is not None, "it still runs"
        if "--port" in self._arguments:
            self._arguments[self._arguments.index("--port") + 1] = str(self.port)
        self._killed = False
        self._start()

    @property
    def url(self) -> str:
        """Where it serves."""
        return str(next(event["url"] for event in self.events if event["event"] == "listening"))

    @property
    def port(self) -> int:
        """The port it serves on."""
        return int(self.url.rpartition(":")[2])

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Stop it if it still runs, and return its exit code; 0 for one that was killed, which has none."""
        if self._killed:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self._module} did not stop: {self.events[-5:]}") from None
        finally:
            self._finish()
        return self.process.returncode

    def expect_event(self, name: str) -> None:
        """Admit events of a name, though they tell of something wrong."""
        self._expected.add(name)

    def unexpected(self) -> list[dict[str, Any]]:
        """Return the events that tell of something wrong and that nobody expects."""
        return [
            event
            for event in self.events
            if event["level"] not in {"debug", "info"} and event["event"] not in self._expected
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.stop()
        if error is None:  # otherwise the test's own failure is what is told
            assert code == 0, f"{self._module} ended with {code}"
            assert not self.unexpected(), f"{self._module} logged {self.unexpected()}"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": line.rstrip("\n"), "level": "error"}
            self.events.append(event)
            if event["event"] == self._ready:
                self._seen_ready.set()
        self._seen_ready.set()  # it has ended, and nothing more will come

    def _finish(self) -> None:
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


def _end_with_the_tests() -> None:
    _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed test run leaves no service
