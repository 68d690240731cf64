"""What `tests.support.recorder` has read, beside what another reader finds in the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from tests.support.readers import Request
from tests.support.recorder import EARLY

# Method and target, fields with names in small letters, and the body.
Seen = tuple[str, list[tuple[str, str]], str]
Reader = Callable[[bytes], tuple[list[Request], bytes]]


@dataclass(frozen=True)
class Read:
    """A request as the service has read it.

    Attributes:
        text: method and target.
        headers: as they came.
        body: the whole body; empty where the service has not looked at it.
        peer: the port by which the service knows the connection.
    """

    text: str
    headers: tuple[tuple[str, str], ...]
    body: str
    peer: int

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self:
        """Return what a line of the service's log has."""
        headers = tuple((name, value) for name, value in event["headers"])
        return cls(f"{event['method']} {event['target']}", headers, event["body"] or "", event["peer"])

    @property
    def request_id(self) -> str:
        """What the gateway has named it."""
        ids = [value for name, value in self.headers if name.lower() == "x-request-id"]
        assert len(ids) == 1, self
        return ids[0]

    @property
    def seen(self) -> Seen:
        """It in the form in which readers are compared."""
        return self.text, [(name.lower(), value) for name, value in self.headers], self.body


def seen_by_reader(request: Request) -> Seen:
    """Return a request in the form of `Read.seen`: ASGI has no query where that is empty."""
    fields = [(name.decode(), value.decode("latin-1")) for name, value in request.fields]
    body = "" if request.target.startswith(EARLY.encode()) else request.body.decode("latin-1")
    return request.text.removesuffix("?"), fields, body
