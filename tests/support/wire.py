"""A request with header fields exactly as a test writes them, seen at both ends of a gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support.backend import Backend, Request
from tests.support.gateway import Gateway
from tests.support.http2 import Connection, request
from tests.support.raw import exchange, status_of

Fields = Sequence[tuple[str, str]]

HTTP1: Final = "HTTP/1.1"
HTTP2: Final = "HTTP/2"
BOTH_VERSIONS: Final = pytest.mark.parametrize("version", [HTTP1, HTTP2])


@dataclass(frozen=True)
class Seen:
    """Both ends of a request.

    Attributes:
        status: what the client got.
        answer: the header fields of the answer, lower case.
        upstream: what reached the upstream; None where nothing did.
    """

    status: int
    answer: tuple[tuple[str, str], ...]
    upstream: Request | None

    @property
    def request(self) -> Request:
        """What reached the upstream, as something must have."""
        assert self.status == 200, self
        assert self.upstream is not None
        return self.upstream

    def all(self, name: str) -> list[str]:
        """Every value of a field of the answer."""
        return [value for key, value in self.answer if key == name.lower()]


def port_of(gateway: Gateway, *, tls: bool = True) -> int:
    """Return the port of the https or http listener."""
    return int((gateway.https if tls else gateway.http).rpartition(":")[2])


def send(connection: Connection, target: str, fields: Fields, *, port: int, method: str = "GET") -> int:
    """Send a request without a body on an HTTP/2 connection, fields as given, and return its stream."""
    head = request(target, method, f"localhost:{port}")
    # A capital letter is a stream error there (RFC 9113 section 8.2.1).
    return connection.send(
        [*head, *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields)]
    )


def fields_of(answer: bytes) -> tuple[tuple[str, str], ...]:
    """Return the header fields of a raw answer, names in lower case."""
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))


def ask(
    gateway: Gateway,
    backend: Backend,
    fields: Fields = (),
    *,
    version: str = HTTP1,
    target: str = "/",
    tls: bool = True,
    host: str = "127.0.0.1",
) -> Seen:
    """Send a GET with header fields exactly as given."""
    before = len(backend.requests)
    if version == HTTP2:
        with Connection(port_of(gateway), gateway.context()) as connection:
            got = connection.await_answer(send(connection, target, fields, port=port_of(gateway)))
        status, answer = got.status or 0, tuple(got.lines)
    else:
        head = [f"GET {target} HTTP/1.1", f"Host: localhost:{port_of(gateway, tls=tls)}"]
        lines = head + [f"{name}: {value}" for name, value in fields]
        data = "\r\n".join([*lines, "", ""]).encode("latin-1")
        context = gateway.context() if tls else None
        raw = exchange(port_of(gateway, tls=tls), data, tls=context, host=host)
        status, answer = status_of(raw), fields_of(raw)
    new = backend.requests[before:]
    assert len(new) <= 1
    return Seen(status, answer, new[0] if new else None)
