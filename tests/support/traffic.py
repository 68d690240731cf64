"""Requests without pause over many connections, and what became of each."""

import asyncio
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self

from tests.support.gateway import wait_for
from tests.support.raw import count_responses, status_of

Request = Callable[[int], bytes]
_CLOSES: Final = re.compile(rb"(?i)\r\nconnection: *close\r\n")
_PAUSE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Loss:
    """A request that got no whole answer.

    Attributes:
        number: which one.
        kind: `unanswered` (the connection ended before any byte of the answer), `cut` (within it), or
            `silent` (nothing, or no more, came for as long as the traffic is patient).
        port: the client's port of its connection.
        kept: whether the connection had carried an answer before.
        why: the system's word for it.
    """

    number: int
    kind: Literal["unanswered", "cut", "silent"]
    port: int
    kept: bool
    why: str


@dataclass(slots=True)
class Tally:
    """What became of all requests: each one that was sent got an answer, or is a loss.

    Attributes:
        sent: how many were sent whole.
        statuses: how many answers had each status.
        losses: those without a whole answer.
        refused: how many connections were not accepted; no request was sent on them.
        connections: how many were.
        slowest: seconds that the slowest answer took.
    """

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    losses: list[Loss] = field(default_factory=list)
    refused: int = 0
    connections: int = 0
    slowest: float = 0

    @property
    def answered(self) -> int:
        """How many got a whole answer, whatever its status."""
        return self.statuses.total()

    def figures(self) -> dict[str, int | float | str]:
        """Return the counts, for a report."""
        kinds = Counter(loss.kind for loss in self.losses)
        return {
            "sent": self.sent,
            "answered": self.answered,
            **{f"status_{status}": count for status, count in sorted(self.statuses.items())},
            "lost_unanswered": kinds["unanswered"],
            "lost_cut": kinds["cut"],
            "lost_silent": kinds["silent"],
            "connections_refused": self.refused,
            "slowest_seconds": self.slowest,
        }


def get(path: str, *lines: str) -> Request:
    """Return what makes a GET of `path/NUMBER`, with further header lines."""
    head = "".join(f"{line}\r\n" for line in ("Host: localhost", *lines))
    return lambda number: f"GET {path}/{number} HTTP/1.1\r\n{head}\r\n".encode()


class Traffic:
    """Clients that ask again as soon as they have an answer, for as long as the block runs.

    A connection that ends is opened again; a request is never repeated. At the end of the block each client
    finishes the request that it has under way.

    Attributes:
        tally: what became of the requests; whole as soon as the block has ended.
    """

    def __init__(
        self,
        port: int,
        request: Request,
        *,
        connections: int = 32,
        each: int | None = None,
        rest: float = 0,
        tls: ssl.SSLContext | None = None,
        source: str = "127.0.0.1",
        patience: float = 60,
    ) -> None:
        """Prepare traffic to a listener on 127.0.0.1.

        Args:
            port: where to.
            request: makes a request from its number; every request has another.
            connections: how many clients there are, each with one connection.
            each: after how many requests a client opens another connection; None for as late as possible.
            rest: seconds that a client rests between two requests.
            tls: a context for TLS; None for none.
            source: the clients' address.
            patience: seconds that an answer may take as a whole.
        """
        self.tally = Tally()
        self._port = port
        self._request = request
        self._connections = connections
        self._each = each
        self._rest = rest
        self._tls = tls
        self._source = source
        self._patience = patience
        self._enough = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    @property
    def running(self) -> bool:
        """Whether there still are clients."""
        return self._thread.is_alive()

    def await_answers(self, count: int) -> None:
        """Wait until so many more answers have come, of any status."""
        goal = self.tally.answered + count
        self._await(lambda: self.tally.answered >= goal)

    def await_refusals(self, count: int) -> None:
        """Wait until so many more connections were refused."""
        goal = self.tally.refused + count
        self._await(lambda: self.tally.refused >= goal)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._thread.join(self._patience * 2)
        assert not self.running, "the traffic does not end"
        if self._failure is not None and error is None:
            raise self._failure
        if error is None:
            assert self.tally.sent == self.tally.answered + len(self.tally.losses)

    def _await(self, condition: Callable[[], bool]) -> None:
        wait_for(lambda: condition() or not self.running, self._patience * 2)

    def _run(self) -> None:
        async def all_clients() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._connections):
                    group.create_task(self._client())

        try:
            asyncio.run(all_clients())
        except BaseException as failure:  # it is raised where the block ends
            self._failure = failure

    async def _client(self) -> None:
        while not self._enough.is_set():
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1",
                    self._port,
                    ssl=self._tls,
                    server_hostname="localhost" if self._tls else None,
                    local_addr=(self._source, 0),
                )
            except OSError:
                self.tally.refused += 1
                await asyncio.sleep(_PAUSE)
                continue
            self.tally.connections += 1
            try:
                await self._ask(reader, writer)
            finally:
                writer.transport.abort()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ask on one connection until it ends, is to be closed, or enough was asked."""
        port = int(writer.get_extra_info("sockname")[1])
        asked = 0
        while not self._enough.is_set() and asked != self._each and not reader.at_eof():
            number = self.tally.sent
            self.tally.sent += 1
            received = b""
            why = "the connection ended"
            silent = False
            begin = time.monotonic()
            try:
                async with asyncio.timeout(self._patience):
                    writer.write(self._request(number))
                    await writer.drain()
                    while not count_responses(received) and (chunk := await reader.read(65536)):
                        received += chunk
            except TimeoutError:
                silent = True
            except OSError as error:
                why = repr(error)
            if count_responses(received):
                self.tally.statuses[status_of(received)] += 1
                self.tally.slowest = max(self.tally.slowest, time.monotonic() - begin)
            else:
                known: Literal["unanswered", "cut"] = "cut" if received else "unanswered"
                self.tally.losses.append(Loss(number, "silent" if silent else known, port, asked > 0, why))
                return
            if _CLOSES.search(received.partition(b"\r\n\r\n")[0] + b"\r\n"):
                return
            asked += 1
            if self._rest:
                await asyncio.sleep(self._rest)
