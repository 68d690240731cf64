"""The listener that only redirects: a body that is a request stays a body, whatever is answered to it."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.backend import Backend
from tests.support.gateway import Gateway
from tests.support.listening import policy
from tests.support.refusals import CLIENTS_FAULT
from tests.support.talk import Talk
from tests.support.wire import port_of

SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
NEXT: Final = b"GET /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CHALLENGES: Final = "/.well-known/acme-challenge"
BODIES: Final = {
    "length": (b"Content-Length: 43", SMUGGLED),
    "chunks": (b"Transfer-Encoding: chunked", b"2b\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"),
    "Expect": (b"Expect: 100-continue\r\nContent-Length: 43", SMUGGLED),
}


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend)) as running:
        running.expect_error(CLIENTS_FAULT)
        webroot = running.state / "acme" / CHALLENGES[1:]
        webroot.mkdir(parents=True, exist_ok=True)
        (webroot / "token").write_text("answer")
        yield running


def locations(gateway: Gateway, data: bytes) -> list[tuple[int, str | None]]:
    """Return the status of each answer, and where it redirects to."""
    found: list[tuple[int, str | None]] = []
    with Talk(port_of(gateway, tls=False)) as talk:
        talk.send(data)
        while (answer := talk.answer()) is not None:
            if answer.status >= 200:
                found.append((answer.status, dict(answer.fields).get("location")))
        assert talk.rest() == b""
    return found


@pytest.mark.parametrize("framing", BODIES)
@pytest.mark.parametrize(
    ("path", "status"),
    [("/a", 301), ("/healthz", 200), (f"{CHALLENGES}/token", 200), (f"{CHALLENGES}/none", 404)],
)
def test_a_body_is_read_away(gateway: Gateway, path: str, status: int, framing: str) -> None:
    field, body = BODIES[framing]
    head = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % (path.encode(), field)
    first, second = locations(gateway, head + body + NEXT)
    assert first == (status, f"{gateway.https}{path}" if status == 301 else None)
    assert second == (301, f"{gateway.https}/next")


@pytest.mark.parametrize("path", ["/a", "/healthz", f"{CHALLENGES}/token", f"{CHALLENGES}/none"])
def test_chunks_that_break_end_the_connection(gateway: Gateway, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert locations(gateway, head + b"x" + SMUGGLED + NEXT) == [(400, None)]
