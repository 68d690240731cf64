"""curl as a client that asks without pause: it knows what RFC 9113 lets a client repeat, as browsers do."""

import subprocess
import threading
from collections import Counter
from types import TracebackType
from typing import Final, Self

from tests.support.gateway import Gateway

_BATCH: Final = 200
_AT_ONCE: Final = 8


class Curl:
    """Requests over HTTP/2, some at once on one connection, for as long as the block runs.

    Attributes:
        statuses: how many answers had each status.
        lost: what curl said of each request without a whole answer, by its number.
    """

    def __init__(self, gateway: Gateway, path: str) -> None:
        self.statuses: Counter[int] = Counter()
        self.lost: dict[int, str] = {}
        self._command = ["curl", "--silent", "--http2", "--cacert", str(gateway.ca), "--max-time", "60"]
        self._command += ["--parallel", "--parallel-max", str(_AT_ONCE), "--output", "/dev/null"]
        self._command += ["--write-out", "%{url} %{http_code} %{exitcode} %{errormsg}\n"]
        self._url = f"{gateway.https}{path}"
        self._enough = threading.Event()
        self._begun = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.is_set():
            last = self._begun + _BATCH - 1
            command = [*self._command, f"{self._url}/[{self._begun}-{last}]"]
            asked = set(range(self._begun, last + 1))
            said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
            self._begun += _BATCH
            for line in said:
                url, status, code, words = line.split(" ", 3)
                number = int(url.rpartition("/")[2])
                if code == "0":
                    self.statuses[int(status)] += 1
                else:
                    self.lost[number] = f"status {status}, exit code {code}: {words}"
                asked.remove(number)
            self.lost |= dict.fromkeys(asked, "curl says nothing of it")
