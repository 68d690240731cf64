"""Key sets at a running gateway while issuers are away, broken, slow or hostile: known keys serve on."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from bartizan.certificates import ensure_development_certificate
from bartizan.layout import State
from tests.support.backend import Backend, Request, Response
from tests.support.gateway import Gateway
from tests.support.key_faults import FAULTS
from tests.support.key_server import (
    KeyServer,
    accepts,
    ask,
    fresh_issuer,
    key_set,
    policy,
    statuses,
    until,
)
from tests.support.ports import free_port
from tests.support.tokens import SigningKey

# --- Faults of an issuer whose keys are known --------------------------------------------------------------


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


# --- No keys at all: through each fault, tests/faults/test_issuer.py --------------------------------------


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
