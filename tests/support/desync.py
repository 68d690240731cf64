"""Framing tricks sent through a gateway: what it answered, what it forwarded, and what its service read.

After each case (`tests.support.desync_cases`) a canary is sent: it must get its own answer, and what the
service has read until it reads that came of the case.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.desync_cases import SILENCE, UNANSWERED, Case, Gave, gives_of
from tests.support.gateway import Gateway, wait_for
from tests.support.http2_frames import FrameConnection
from tests.support.recorded import Read, Reader, Seen, seen_by_reader
from tests.support.relay import Relay
from tests.support.service import Service
from tests.support.talk import Answer, Talk
from tests.support.wire import port_of


@dataclass
class Outcome:
    """What came of a case.

    Attributes:
        gave: what became of each request in turn: the status of a refusal, or what the service read.
        ids: of all of them, where the client or the audit log knows them.
        read: what the service read, the follow-up and the canary left out.
        lives: whether a follow-up on the same connection was answered, as that one.
        faults: what may be in no case.
    """

    gave: list[Gave] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    read: list[Read] = field(default_factory=list)
    lives: bool = False
    faults: list[str] = field(default_factory=list)


class Grid:
    """Sends cases to a gateway, one after the other.

    Attributes:
        gateway: where to.
        known: the ids of all requests of which anybody was told.
        reads: all that the service has read.
    """

    def __init__(self, gateway: Gateway, recorder: Service) -> None:
        self.gateway = gateway
        self.known: list[str] = []
        self._recorder = recorder
        self._count = 0

    @property
    def reads(self) -> list[Read]:
        """All that the service has read so far."""
        return [Read.of(event) for event in self._recorder.events if event["event"] == "request"]

    def run(self, case: Case, *, tls: bool = False) -> Outcome:
        """Send a case and return what came of it.

        Args:
            case: as `tests.support.desync_cases` has it.
            tls: whether to send it to the https listener, a few bytes at a time; HTTP/2 always goes there.
        """
        start = self.begin()
        silent = sum(entry == "aborted" or str(entry).startswith("bare") for entry in gives_of(case))
        events = len(self.gateway.audit()) if silent else 0
        answers, follow, rest = (
            self._http2(case["frames"]) if "frames" in case else self._http1(case, tls=tls)
        )
        outcome = self._outcome(start, answers, follow)
        if rest:
            outcome.faults.append(f"more came back: {rest!r}")
        if silent:
            outcome.ids += self._ask_audit(events, silent, outcome)
        self.known += outcome.ids
        return outcome

    def begin(self) -> int:
        """Begin something, and return what `settle` needs to know of it."""
        self._count += 1
        return len(self._recorder.events)

    def settle(self, start: int) -> tuple[list[Read], list[str]]:
        """Send a canary; return what the service has read before it, and what should not have happened."""
        canary = self._send_canary()
        events = self._await_canary(start)
        faults = [f"the service said {event}" for event in events if event["event"] != "request"]
        reads = [Read.of(event) for event in events if event["event"] == "request"]
        if not _is_own(canary, reads.pop()):
            faults.append(f"the canary was answered {canary}")
        return reads, faults

    def lines(self) -> dict[str, dict[str, Any]]:
        """Return the lines of the access log by their request ids, once it has all that are known."""
        known = set(self.known)
        wait_for(lambda: known <= {line["request_id"] for line in self.gateway.access()})
        access = self.gateway.access()
        named = {line["request_id"]: line for line in access}
        assert len(named) == len(access), "an id was given twice"
        return named

    def connections(self, relay: Relay, reader: Reader) -> list[tuple[list[Seen], list[Seen]]]:
        """Return for each connection what a reader finds in the bytes, and what the service has read."""
        by_peer = defaultdict(list)
        for read in self.reads:
            by_peer[read.peer].append(read)
        both = []
        for passed in relay.connections:
            requests, rest = reader(bytes(passed.sent))
            found = by_peer.pop(passed.port, [])
            if rest and found[-1].text != "GET /ws/open":
                raise ValueError(f"no request: {rest!r}")
            both.append(([seen_by_reader(request) for request in requests], [read.seen for read in found]))
        assert not by_peer, f"on no connection of the relay: {by_peer}"
        return both

    def _http1(self, case: Case, *, tls: bool) -> tuple[list[Answer | str], Answer | None, bytes]:
        context = self.gateway.context() if tls else None
        answers: list[Answer | str] = []
        with Talk(port_of(self.gateway, tls=tls), context) as talk:
            try:
                for step in case.get("steps", [case]):
                    talk.send(_data(step["send"]), in_pieces=tls)
                    if step.get("ends"):
                        talk.end()
                    answers += [_next(talk, entry) for entry in step["gives"]]
                return answers, self._follow(talk, answers[-1]), talk.rest()
            except TimeoutError:
                return [*answers, SILENCE], None, b""

    def _follow(self, talk: Talk, last: Answer | str) -> Answer | None:
        """Send a further request, whatever the last answer was, and return its answer."""
        talk.send(
            _data([f"GET /follow/{self._count} HTTP/1.1", "Host: localhost", "Connection: close", "", ""])
        )
        if isinstance(last, str) or last.closes:
            talk.end()  # otherwise it lingers
        return talk.answer()

    def _http2(self, frames: Sequence[Case]) -> tuple[list[Answer | str], Answer | None, bytes]:
        with FrameConnection(port_of(self.gateway), self.gateway.context(), 10) as connection:
            try:
                connection.send_frames(frames)
                connection.await_streams()
                answers = [_answer_of(connection, stream) for stream in sorted(connection.streams)]
                further = max(connection.streams) + 2
                if not connection.ended:
                    connection.send_frames([{"stream": further, "set": {":path": f"/follow/{self._count}"}}])
                    connection.await_streams()
            except TimeoutError:
                return [SILENCE], None, b""
            follow = _answer_of(connection, further) if further in connection.streams else UNANSWERED
            return answers, follow if isinstance(follow, Answer) else None, b""

    def _outcome(self, start: int, answers: Sequence[Answer | str], follow: Answer | None) -> Outcome:
        reads, faults = self.settle(start)
        outcome = Outcome(read=reads, faults=faults)
        if follow is not None:
            outcome.lives = bool(reads) and reads[-1].text == f"GET /follow/{self._count}"
            if not outcome.lives or not _is_own(follow, reads.pop()):
                outcome.faults.append(f"the follow-up was answered {follow}")
            self.known.append(follow.request_id)
        _match(outcome, answers)
        return outcome

    def _send_canary(self) -> Answer:
        with Talk(port_of(self.gateway, tls=False)) as talk:
            talk.send(_data([f"GET /canary/{self._count} HTTP/1.1", "Host: localhost", "", ""]))
            answer = talk.answer()
        assert answer is not None, "the canary got no answer"
        self.known.append(answer.request_id)
        return answer

    def _await_canary(self, start: int) -> list[dict[str, Any]]:
        """Return what the service has logged up to the canary."""

        def whole() -> list[dict[str, Any]]:
            events = self._recorder.events[start:]
            targets = [event.get("target") for event in events]
            canary = f"/canary/{self._count}"
            return events[: targets.index(canary) + 1] if canary in targets else []

        return wait_for(whole)

    def _ask_audit(self, start: int, count: int, outcome: Outcome) -> list[str]:
        """Return the ids of so many requests whose client was not told; fewer where they don't come."""

        def told() -> list[str]:
            events = [str(event["request_id"]) for event in self.gateway.audit()[start:]]
            new = [request_id for request_id in events if request_id not in {*self.known, *outcome.ids}]
            return new if len(new) >= count else []

        with contextlib.suppress(TimeoutError):
            return wait_for(told, 5)
        outcome.faults.append("the audit log does not have all")
        return []


def _data(lines: Sequence[str]) -> bytes:
    return "\r\n".join(lines).encode("latin-1")


def _next(talk: Talk, entry: Any) -> Answer | str:
    """Return what came of a case's next request."""
    text = entry[0] if isinstance(entry, list) else str(entry)
    if text.startswith("bare "):
        body = talk.rest()
        return Answer(json.loads(body)["status"], (), body) if body.startswith(b"{") else UNANSWERED
    return talk.answer(head=text.startswith("HEAD ")) or UNANSWERED


def _answer_of(connection: FrameConnection, number: int) -> Answer | str:
    stream = connection.streams[number]
    if stream.status is None or not stream.whole:
        return UNANSWERED
    return Answer(stream.status, tuple(stream.fields), stream.body)


def _is_own(answer: Answer, read: Read) -> bool:
    """Whether an answer is the one to what was read."""
    body = b"" if read.text.startswith("HEAD ") else f"{read.text} {read.request_id}\n".encode("latin-1")
    return (answer.status, answer.request_id, answer.body) == (200, read.request_id, body)


def _match(outcome: Outcome, answers: Sequence[Answer | str]) -> None:
    """Tell for each answer whether the service or the gateway gave it, and whether it is the right one."""
    waiting = {read.request_id: read for read in outcome.read}
    for answer in answers:
        if isinstance(answer, str):
            outcome.gave.append(answer)
        elif not answer.fields:
            outcome.gave.append(answer.status if answer.status == 100 else f"bare {answer.status}")
        elif read := waiting.pop(answer.request_id, None):
            outcome.ids.append(answer.request_id)
            status = "" if answer.status == 200 else f" -> {answer.status}"
            outcome.gave.append((read.text + status, read.body))
            if answer.status == 200 and not _is_own(answer, read):
                outcome.faults.append(f"{read.text} was answered {answer}")
        else:
            outcome.ids.append(answer.request_id)
            has_body = answer.body or answer.status == 204
            outcome.gave.append(answer.status if has_body else f"HEAD {answer.status}")
            if answer.body.startswith(b"{") and answer.status >= 400:
                told = json.loads(answer.body)
                if (told["request_id"], told["status"]) != (answer.request_id, answer.status):
                    outcome.faults.append(f"the refusal of another: {answer}")
    outcome.gave += [(f"{UNANSWERED} {read.text}", read.body) for read in waiting.values()]
    outcome.ids += waiting
