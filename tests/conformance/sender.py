"""Sends the stages of tests, many at the same time, each from an address of its own.

Everything in 127.0.0.0/8 is loopback on Linux, so every stage has a source address by which its event is
found afterwards, whatever became of the request: also where no answer came, or one without a request id.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from tests.conformance.schema import Stage, Test
from tests.conformance.wire import request
from tests.support.raw import first_response

AT_ONCE: Final = 12
PATIENCE: Final = 5.0
_FIRST: Final = int(IPv4Address("127.1.0.1"))
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


@dataclass(frozen=True, slots=True)
class Sent:
    """A stage that was sent.

    Attributes:
        test: whose stage.
        stage: the stage.
        address: where it came from.
        answer: what came back; empty for nothing.
    """

    test: Test
    stage: Stage
    address: str
    answer: bytes

    @property
    def status(self) -> int | None:
        """The status of the answer; None if it can't be read."""
        found = _STATUS.match(self.answer)
        return int(found[1]) if found else None


async def send(tests: Sequence[Test], port: int, done: Callable[[], None]) -> list[Sent]:
    """Send all stages; those of a test one after the other.

    Args:
        tests: the tests.
        port: of 127.0.0.1.
        done: is called after each test.
    """
    gate = asyncio.Semaphore(AT_ONCE)
    numbers = iter(range(_FIRST, _FIRST + (1 << 23)))
    places = [[str(IPv4Address(next(numbers))) for _ in test.stages] for test in tests]

    async def run(test: Test, addresses: list[str]) -> list[Sent]:
        async with gate:
            sent = []
            for stage, address in zip(test.stages, addresses, strict=True):
                data = request(stage.input)
                head_only = stage.input.method == "HEAD"
                answer = await exchange(port, data, address, head_only=head_only)
                sent.append(Sent(test, stage, address, answer))
            done()
            return sent

    runs = await asyncio.gather(*(run(test, place) for test, place in zip(tests, places, strict=True)))
    return [stage for stages in runs for stage in stages]


async def exchange(port: int, data: bytes, address: str, *, head_only: bool = False) -> bytes:
    """Send bytes and return the first whole answer, or what came of one until the end or the time was up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    received = b""
    try:
        async with asyncio.timeout(PATIENCE):
            # The other side may answer and close before all was sent.
            sending = asyncio.ensure_future(_write(writer, data))
            try:
                while not _whole(received, head_only=head_only):
                    chunk = await reader.read(65536)
                    if not chunk:
                        break
                    received += chunk
            finally:
                sending.cancel()
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return received


def _whole(received: bytes, *, head_only: bool) -> bool:
    return _STATUS.match(received) is not None and first_response(received, head_only=head_only) is not None


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    try:
        writer.write(data)
        await writer.drain()
    except ConnectionError:
        pass
