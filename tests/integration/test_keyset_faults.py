"""Key sets at a running gateway while issuers are away, broken, slow or hostile: known keys serve on."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bartizan.certificates import ensure_development_certificate
from bartizan.layout import State
from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway
from tests.support.key_server import (
    PATIENCE,
    KeyServer,
    accepts,
    ask,
    document,
    fresh_issuer,
    hang_up,
    key_set,
    one,
    policy,
    statuses,
    until,
)
from tests.support.ports import free_port
from tests.support.tokens import Issuer, SigningKey, new_key, public_jwk

# --- Faults of an issuer whose keys are known --------------------------------------------------------------


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
FAULTS: dict[str, tuple[Callable[[Issuer], Response], str]] = {
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


@pytest.mark.timeout(240)
def test_known_keys_serve_on_through_every_fault(backend: Backend) -> None:
    """All issuers have keys, then each its fault, then all recover with one key more: at the same time."""
    issuers = {name: fresh_issuer(f"https://{name}.test") for name in FAULTS}
    faulty = False

    def answer(request: Request) -> Response:
        name = request.target.strip("/")
        return FAULTS[name][0](issuers[name]) if faulty else key_set(issuers[name], max_age=5)

    def answers(tokens: dict[str, str]) -> dict[str, int]:
        return {name: ask(gateway, token, f"/{name}").status_code for name, token in tokens.items()}

    def all_of(status: str, value: object) -> bool:
        return all(known[status] == value for known in statuses(gateway).values())

    def tokens(key: str) -> dict[str, str]:
        return {name: issuer.forge({"alg": key}) for name, issuer in issuers.items()}

    with Backend(answer) as keys:
        addresses = {name: (issuer.issuer, f"{keys.url}/{name}") for name, issuer in issuers.items()}
        with Gateway(policy(backend, addresses)) as gateway:
            gateway.expect_error("no new key set .* the one before it serves on")
            gateway.expect_error("upstream (prematurely closed|timed out)")
            until(lambda: all_of("keys", 3), "all keys are known")
            assert answers(tokens("RS512")) == dict.fromkeys(FAULTS, 200)

            faulty = True
            until(lambda: all(s["failures"] for s in statuses(gateway).values()), "all faults are noticed")
            seen = statuses(gateway)
            said = {name: reason for name, (_, reason) in FAULTS.items() if reason in seen[name]["error"]}
            assert said == {name: reason for name, (_, reason) in FAULTS.items()}, seen
            assert {name: (s["keys"], s["generation"]) for name, s in seen.items()} == dict.fromkeys(
                FAULTS, (3, 1)
            )
            # Tokens that are not remembered, so that the keys are needed.
            assert answers(tokens("ES256")) == dict.fromkeys(FAULTS, 200)
            for issuer in issuers.values():
                issuer.keys["new"] = SigningKey.make("EdDSA", "new")
            assert answers(tokens("new")) == dict.fromkeys(FAULTS, 401)

            faulty = False
            until(lambda: all_of("keys", 4), "all recover")
            assert answers(tokens("new")) == dict.fromkeys(FAULTS, 200)
            assert all_of("failures", 0)
            metrics = httpx.get(f"{gateway.operator}/metrics").text
    assert 'bartizan_events_total{event="key_set_refused"}' in metrics
    assert 'bartizan_events_total{event="key_set_fetch_failed"}' in metrics
    assert {request.target for request in keys.requests} == {f"/{name}" for name in FAULTS}  # no redirect


# --- No keys at all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["away", "garbage"])
def test_no_keys_is_503_and_never_401(backend: Backend, fault: str) -> None:
    with KeyServer(fresh_issuer()) as keys:
        keys.answer = lambda _request: hang_up() if fault == "away" else document(b"garbage")
        with Gateway(one(backend, keys)) as gateway:
            gateway.expect_error("no new key set .* there is none before it")
            gateway.expect_error("upstream prematurely closed|no new key set .* 502")
            bad = keys.issuer.forge({"signature": "other key"})
            before = len(backend.requests)
            for token in (keys.issuer.token(), bad, "nonsense", None):
                response = ask(gateway, token)
                assert response.status_code == 503
                assert response.json()["code"] == "keys_unavailable"
                assert 1 <= int(response.headers["Retry-After"]) <= 30
                assert "WWW-Authenticate" not in response.headers
            assert len(backend.requests) == before
            until(lambda: statuses(gateway)["one"]["failures"] >= 2, "it is tried again")
            assert statuses(gateway)["one"]["keys"] == 0
            keys.come_back()
            until(lambda: accepts(gateway, keys.issuer.token()), "the keys come with the issuer")
            assert ask(gateway, bad).status_code == 401


def test_nobody_listens_at_the_address(backend: Backend) -> None:
    issuer = fresh_issuer()
    with Gateway(policy(backend, {"one": (issuer.issuer, f"http://127.0.0.1:{free_port()}/")})) as gateway:
        gateway.expect_error("connect\\(\\) failed .* to upstream|no new key set .* 502")
        assert ask(gateway, issuer.token()).status_code == 503
        until(lambda: statuses(gateway)["one"]["failures"], "the failure is noticed")
        assert "answered 502" in statuses(gateway)["one"]["error"]


# --- TLS ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trusted", [True, False])
def test_the_issuers_certificate_is_verified(backend: Backend, trusted: bool, tmp_path: Path) -> None:
    """A development certificate serves as the issuer's."""
    state = State(tmp_path)
    ensure_development_certificate(state, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(state.server_certificate, state.server_key)
    files = {"issuer-ca.pem": state.ca_certificate.read_bytes()}
    with KeyServer(fresh_issuer(), tls=context) as keys:
        more = {"ca": "issuer-ca.pem"} if trusted else {}
        url = f"https://localhost:{keys.server.port}/jwks.json"
        with Gateway(policy(backend, {"one": (keys.issuer.issuer, url)}, **more), files=files) as gateway:
            gateway.expect_error("upstream SSL certificate verify error|no new key set .* 502")
            if trusted:
                until(lambda: accepts(gateway, keys.issuer.token()), "the keys come")
            else:
                until(lambda: statuses(gateway)["one"]["failures"], "the fetch fails")
                assert "answered 502" in statuses(gateway)["one"]["error"]
                assert ask(gateway, keys.issuer.token()).status_code == 503
                assert not keys.server.requests
