"""Requests as they are sent: one that all repeat, or one with a hole that each fills with another value."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOLE: Final = "{}"


@dataclass(frozen=True, slots=True)
class Request:
    """A request; a hole may stand in its path or in a header's value.

    Attributes:
        path: the target.
        headers: all of them, but for Content-Length.
        method: the method.
        body: the body.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    method: str = "GET"
    body: str = ""

    def raw(self) -> bytes:
        """Return what goes over the wire."""
        length = (("Content-Length", str(len(self.body))),) if self.body else ()
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in (*self.headers, *length)]
        return ("\r\n".join(lines) + f"\r\n\r\n{self.body}").encode("ascii")


@dataclass(frozen=True, slots=True)
class Load:
    """What a target is driven with.

    Attributes:
        request: the request.
        template: a file that holds it, raw.
        values: a file with what goes into its hole, one value a line; None if it has none.
    """

    request: Request
    template: Path
    values: Path | None = None

    @classmethod
    def written(cls, request: Request, folder: Path, values: Path | None = None) -> "Load":
        """Write the file of a request into a folder."""
        template = folder / "request"
        template.write_bytes(request.raw())
        return cls(request, template, values)
