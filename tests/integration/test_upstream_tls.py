"""https upstreams: a server is spoken to only where its certificate is its own, by a known authority."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme

from tests.support.backend import Backend
from tests.support.gateway import Gateway

NAME = "service.example"
VERIFY_ERROR = "upstream SSL certificate"


def context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """Return what a server with a certificate for a name speaks with."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(made)
    return made


def policy(backend: Backend, **settings: Any) -> dict[str, Any]:
    upstream = {"servers": [backend.url], "server_name": NAME, **settings}
    return {
        "listen": {"http": {"redirect": False}},
        "upstreams": {"data": upstream},
        "routes": [{"prefix": "/", "methods": ["GET"], "upstream": "data", "auth": "none"}],
    }


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def ask(backend: Backend, authority: trustme.CA, **settings: Any) -> tuple[int, str, int, str]:
    """Return status and code of an answer, how many requests the service saw, and what nginx said."""
    files = {"ca.pem": authority.cert_pem.bytes()}
    with Gateway(policy(backend, **settings), files=files) as gateway:
        gateway.expect_error(VERIFY_ERROR)
        with gateway.client() as client:
            answer = client.get("/hello")
        code = answer.json()["code"] if answer.status_code != 200 else ""
        return answer.status_code, code, len(backend.requests), gateway.stderr()


def test_a_good_certificate(authority: trustme.CA) -> None:
    with Backend(tls=context(authority, NAME)) as backend:
        assert ask(backend, authority, ca="ca.pem")[:3] == (200, "", 1)


def test_a_certificate_of_another_name(authority: trustme.CA) -> None:
    with Backend(tls=context(authority, "other.example")) as backend:
        status, code, seen, said = ask(backend, authority, ca="ca.pem")
    assert (status, code, seen) == (502, "upstream_unavailable", 0)
    assert f'upstream SSL certificate does not match "{NAME}"' in said


def test_a_certificate_of_an_unknown_authority(authority: trustme.CA) -> None:
    with Backend(tls=context(trustme.CA(), NAME)) as backend:
        status, code, seen, said = ask(backend, authority, ca="ca.pem")
    assert (status, code, seen) == (502, "upstream_unavailable", 0)
    assert "upstream SSL certificate verify error" in said


def test_the_systems_authorities_are_not_ours(authority: trustme.CA) -> None:
    """Without `ca` those of the system are known, and nobody else."""
    with Backend(tls=context(authority, NAME)) as backend:
        status, code, seen, said = ask(backend, authority)
    assert (status, code, seen) == (502, "upstream_unavailable", 0)
    assert "upstream SSL certificate verify error" in said
