"""Requests as they are sent: one or several in turn, the same again or with holes for what differs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 16
HOLE: Final = "{}"
# Becomes a word of nine letters, another one each time.
WORD: Final = "{*}"
WORD_LENGTH: Final = 9


@dataclass(frozen=True, slots=True)
class Request:
    """A request; holes may stand in its path, in a header's value or in its body.

    Attributes:
        path: the target.
        headers: all of them, but for Content-Length.
        method: the method.
        body: the body.
        refused: whether it is an attack, which rules must refuse.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    method: str = "GET"
    body: str = ""
    refused: bool = False

    def raw(self) -> bytes:
        """Return what goes over the wire, with the holes in it."""
        size = len(self.body) + self.body.count(WORD) * (WORD_LENGTH - len(WORD))
        length = (("Content-Length", str(size)),) if self.body else ()
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in (*self.headers, *length)]
        return ("\r\n".join(lines) + f"\r\n\r\n{self.body}").encode("ascii")


@dataclass(frozen=True, slots=True)
class Load:
    """What a target is driven with.

    Attributes:
        requests: what is sent, in turn.
        template: a file that holds them, raw.
        values: a file with what goes into the hole, one value a line; None if there is none.
        connections: how many are kept busy.
        refused: which part of the requests the target must refuse.
    """

    requests: tuple[Request, ...]
    template: Path
    values: Path | None = None
    connections: int = CONNECTIONS
    refused: float = 0

    @property
    def request(self) -> Request:
        """The first of the requests, the only one where all are the same."""
        return self.requests[0]

    def with_rules(self) -> "Load":
        """Return the same for a target that has rules, which must refuse the attacks."""
        return replace(self, refused=sum(one.refused for one in self.requests) / len(self.requests))

    @classmethod
    def written(
        cls, requests: Request | Sequence[Request], folder: Path, values: Path | None = None
    ) -> "Load":
        """Write the file of requests into a folder."""
        several = (requests,) if isinstance(requests, Request) else tuple(requests)
        template = folder / "request"
        template.write_bytes(b"\0".join(request.raw() for request in several))
        return cls(several, template, values)
