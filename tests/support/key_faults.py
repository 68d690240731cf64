"""What a key set's address answers when something is wrong with it, and what the gateway says of that."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.support.backend import Response
from tests.support.key_server import PATIENCE, document, hang_up
from tests.support.tokens import Issuer, new_key, public_jwk


def redirect(_issuer: Issuer) -> Response:
    return Response(status=302, headers=(("Location", "/elsewhere"),))


def status(code: int, body: bytes = b"") -> Callable[[Issuer], Response]:
    return lambda _issuer: Response(status=code, body=body)


def body(content: bytes) -> Callable[[Issuer], Response]:
    return lambda _issuer: document(content)


def cut_off(issuer: Issuer) -> Response:
    whole = json.dumps(issuer.jwks()).encode()

    def send_half(connection: socket.socket) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(whole)}\r\n\r\n".encode()
        connection.sendall(head + whole[: len(whole) // 2])
        connection.shutdown(socket.SHUT_RDWR)

    return Response(takeover=send_half)


def silent(_issuer: Issuer) -> Response:
    def wait(connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        connection.recv(1)  # nothing comes: until nginx gives up

    return Response(takeover=wait)


def dripping(_issuer: Issuer) -> Response:
    """A byte a second, for ever: each single wait is short enough."""

    def drip() -> Iterator[bytes]:
        for _ in range(int(PATIENCE)):
            yield b" "
            time.sleep(1)

    return Response(body=drip())


def with_key(key: dict[str, Any]) -> Callable[[Issuer], Response]:
    """The good keys, and one that is not."""
    return lambda issuer: document(json.dumps({"keys": [*issuer.jwks()["keys"], key]}).encode())


WEAK = public_jwk(new_key("RSA1024"), kid="weak", alg="RS512")
SYMMETRIC = {"kty": "oct", "k": "c2VjcmV0", "kid": "shared", "alg": "HS256"}
PRIVATE = {"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB", "kid": "own", "alg": "RS512"}
DUPLICATE = public_jwk(new_key("P-256"), kid="key-rs512", alg="ES256")
ENCRYPTING = public_jwk(new_key("P-256"), kid="enc", alg="ES256", use="enc")

REFUSED = "the set is refused as a whole: "
# What the address answers, and what the gateway says of it.
FAULTS: Final[dict[str, tuple[Callable[[Issuer], Response], str]]] = {
    "garbage": (body(b"\x00\xffgarbage"), REFUSED + "the set is no JSON object"),
    "html": (body(b"<html><h1>Under maintenance</h1></html>"), REFUSED + "the set is no JSON object"),
    "nothing": (body(b""), REFUSED + "the set is no JSON object"),
    "empty-set": (body(b'{"keys":[]}'), REFUSED + "the set is empty"),
    "ten-megabytes": (body(b'{"keys":[' + b" " * 10_000_000 + b"]}"), "longer than a key set can be"),
    "redirect": (redirect, "answered 302"),
    "server-error": (status(500), "answered 500"),
    "not-found": (status(404, b'{"keys":[]}'), "answered 404"),
    "not-modified": (status(304), "answered 304"),
    "no-content": (status(204), "answered 204"),
    "hangs-up": (lambda _issuer: hang_up(), "answered 502"),
    "cut-off": (cut_off, "cut off"),
    "silent": (silent, "answered 504"),
    "dripping": (dripping, "took too long"),
    "weak-key": (with_key(WEAK), "shorter than 2048 bits"),
    "symmetric": (with_key(SYMMETRIC), "is symmetric"),
    "private": (with_key(PRIVATE), "has private members"),
    "duplicate-kid": (with_key(DUPLICATE), "has the kid of another"),
    "encryption-key": (with_key(ENCRYPTING), "not for verifying signatures"),
}
