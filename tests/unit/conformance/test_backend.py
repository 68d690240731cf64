"""The service behind the engine under test."""

import base64
import json

import pytest

from tests.conformance.backend import answer


def asked(line: str, body: bytes = b"") -> bytes:
    return answer(f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), body)


@pytest.mark.parametrize("line", ["GET /", "ODD-METHOD /a?b", "POST /reflected", "GET /reflect"])
def test_everything_gets_200(line: str) -> None:
    assert asked(line) == b"HTTP/1.1 200 Reflected\r\nContent-Length: 0\r\n\r\n"


def test_what_is_asked_for_is_reflected() -> None:
    wanted = {"status": 418, "headers": {"X-A": "b", "Bad\r\n": "x", "Connection": "x"}, "body": "tea"}
    assert asked("POST /reflect", json.dumps(wanted).encode()) == (
        b"HTTP/1.1 418 Reflected\r\nContent-Length: 3\r\nX-A: b\r\n\r\ntea"
    )
    encoded = {"encodedBody": base64.b64encode(b"\x00\xff").decode()}
    assert asked("POST /reflect/?x", json.dumps(encoded).encode()).endswith(b"\r\n\r\n\x00\xff")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"status": 99}', b'{"status": 600}', b'{"encodedBody": "?"}']
)
def test_what_can_not_be_reflected_gets_400(body: bytes) -> None:
    assert asked("POST /reflect", body).startswith(b"HTTP/1.1 400 ")
