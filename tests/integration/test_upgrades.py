"""Connections that leave HTTP: the log says of them what was judged, whatever the client sends in them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.backend import Backend, Request, Respond, Response, takeover
from tests.support.gateway import Gateway, wait_for
from tests.support.refusals import policy, text
from tests.support.talk import Talk
from tests.support.wire import port_of

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: %s\r\n\r\n"


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend) | {"listen": {"http": {"redirect": False}}}) as running:
        yield running


def head(path: str, upgrade: str = "websocket", *fields: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "User-Agent: judged/1.0", "Connection: upgrade"]
    return text([*lines, f"Upgrade: {upgrade}", *fields])


def read_all(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def line_of(gateway: Gateway, path: str) -> dict[str, Any]:
    line = gateway.wait_for_access(lambda line: str(line["path"]).startswith(path))
    return {name: line[name] for name in (*JUDGED, "path")}


JUDGED = {
    "method": "GET",
    "protocol": "HTTP/1.1",
    "host": "localhost",
    "user_agent": "judged/1.0",
    "status": 101,
    "verdict": "passed",
}


@pytest.mark.parametrize("early", [True, False], ids=["with the handshake", "after the answer"])
@pytest.mark.parametrize("query", ["", "?room=1"], ids=["no query", "a query"])
def test_what_flows_in_a_tunnel_is_not_logged_as_the_request(
    gateway: Gateway, answers: Callable[[Respond], None], *, early: bool, query: str
) -> None:
    """It is read into the buffer that the request line is in."""
    answers(lambda _request: takeover(SWITCHING % b"websocket", then=read_all))
    path = f"/tunnel/{early}/{len(query)}{query}"
    lies = b'POST /forged \xff\x00" HTTP/9.9\r\n' * 200
    with Talk(port_of(gateway, tls=False)) as talk:
        talk.send(head(path) + (lies if early else b""))
        answer = talk.answer()
        assert answer is not None
        assert answer.status == 101
        for _ in range(3):
            talk.send(lies)
        talk.end()
        talk.rest()
    assert line_of(gateway, f"/tunnel/{early}/{len(query)}") == {**JUDGED, "path": path}


def test_secrets_in_the_target_of_a_websocket_are_masked(
    gateway: Gateway, answers: Callable[[Respond], None]
) -> None:
    answers(lambda _request: takeover(SWITCHING % b"websocket"))
    with Talk(port_of(gateway, tls=False)) as talk:
        talk.send(head("/masked?access_token=secret"))
        talk.rest()
    assert "secret" not in line_of(gateway, "/masked")["path"]


@pytest.mark.parametrize(
    ("upgrade", "fields"),
    [("h2c", []), ("websocket", ["Content-Length: 0", "Content-Type: text/plain", "X-A: b"])],
    ids=["h2c", "websocket"],
)
def test_only_what_was_asked_for_is_switched_to(
    gateway: Gateway, answers: Callable[[Respond], None], upgrade: str, fields: list[str]
) -> None:
    """An upstream that answers 101 to a request that was forwarded without an upgrade gets no tunnel."""
    heard: list[bytes] = []

    def respond(_request: Request) -> Response:
        def hear(connection: socket.socket) -> None:
            connection.settimeout(20)
            heard.append(connection.recv(65536))

        return takeover(SWITCHING % upgrade.encode(), then=hear)

    answers(respond)
    with Talk(port_of(gateway, tls=False)) as talk:
        talk.send(head("/unasked", upgrade, *fields) + b"GET /smuggled HTTP/1.1\r\n")
        talk.answer()
        talk.end()
        talk.rest()
    wait_for(lambda: heard)
    assert heard == [b"GET /smuggled HTTP/1.1\r\n" if upgrade == "websocket" else b""]
