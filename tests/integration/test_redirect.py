"""The http listener where it only redirects, and certbot's challenges beside that."""

import json
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.backend import Backend
from tests.support.gateway import Gateway
from tests.support.listening import TWO_HOSTS_AND_ANY, answer, policy

ORIGIN: Final = "https://shop.example:444"


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    """A gateway with a public origin of its own, and routes for two hosts and for any."""
    with Gateway(policy(backend, origin=ORIGIN, routes=TWO_HOSTS_AND_ANY)) as running:
        yield running


@pytest.fixture(autouse=True)
def _forget(backend: Backend) -> None:
    backend.forget()


@pytest.mark.parametrize(
    ("target", "host", "location"),
    [
        ("/", "shop.example", f"{ORIGIN}/"),
        ("/a/b?q=1&r=%2F%3F", "shop.example", f"{ORIGIN}/a/b?q=1&r=%2F%3F"),
        ("/a?", "shop.example", f"{ORIGIN}/a?"),
        ("/?next=//evil.example", "shop.example:8080", f"{ORIGIN}/?next=//evil.example"),
        ("/", "SHOP.example.", f"{ORIGIN}/"),
        # What the policy does not know never becomes a place to go to.
        ("/", "evil.example", f"{ORIGIN}/"),
        ("/", "evil.example:443", f"{ORIGIN}/"),
        ("/", "[::1]", f"{ORIGIN}/"),
        ("http://evil.example/a", "evil.example", f"{ORIGIN}/a"),
        ("/", "shop.example.evil.example", f"{ORIGIN}/"),
        # Another host that is served is at the same port.
        ("/a?b", "blog.example", "https://blog.example:444/a?b"),
        ("/a", "BLOG.example:80", "https://blog.example:444/a"),
        # The path is the canonical one.
        ("/%61%2d<", "shop.example", f"{ORIGIN}/a-%3C"),
    ],
)
def test_http_redirects_to_the_public_origin(gateway: Gateway, target: str, host: str, location: str) -> None:
    raw = gateway.raw(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), tls=False)
    status, fields, body = answer(raw)
    assert (status, fields["location"], body) == (301, location, b"")


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 301), ("HEAD", 301), ("POST", 308), ("PUT", 308), ("DELETE", 308), ("OPTIONS", 308)],
)
def test_a_redirect_keeps_the_method(gateway: Gateway, method: str, status: int) -> None:
    head = f"{method} /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi"
    raw = gateway.raw(head.encode(), tls=False)
    assert answer(raw)[0] == status
    assert answer(raw)[1]["location"] == f"{ORIGIN}/a"


@pytest.mark.parametrize(
    "data",
    [
        b"GET //evil.example HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        b"GET /\\evil.example HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        b"GET /%0d%0aSet-Cookie:a=b HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        b"GET /a%0aSet-Cookie:a=b HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        b"GET /.. HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        b"GET @evil.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        b"GET http://user@shop.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: shop.example@evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: shop.example/evil\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET http://shop.example/ HTTP/1.0\r\n\r\n",
    ],
)
def test_what_has_two_readings_is_not_redirected(gateway: Gateway, data: bytes) -> None:
    status, fields, body = answer(gateway.raw(data, tls=False))
    assert status == 400
    assert "location" not in fields
    assert json.loads(body)["status"] == 400


def test_http_serves_nothing_where_it_redirects(gateway: Gateway, backend: Backend) -> None:
    raw = gateway.raw(b"GET /api/users HTTP/1.1\r\nHost: shop.example\r\n\r\n", tls=False)
    assert answer(raw)[0] == 301
    assert backend.requests == []


def test_without_a_public_origin_it_is_the_https_listener(backend: Backend) -> None:
    with Gateway(policy(backend)) as gateway:
        raw = gateway.raw(b"GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n", tls=False)
        assert answer(raw)[1]["location"] == f"{gateway.https}/a"


# --- certbot -----------------------------------------------------------------------------------------------


def test_certbots_challenges_stand_beside_the_redirect(gateway: Gateway) -> None:
    folder = gateway.state / "acme" / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "aB-3_z").write_text("aB-3_z.thumb", encoding="ascii")
    raw = gateway.raw(b"GET /.well-known/acme-challenge/aB-3_z HTTP/1.1\r\nHost: a\r\n\r\n", tls=False)
    status, fields, body = answer(raw)
    assert (status, fields["content-type"], body) == (200, "text/plain", b"aB-3_z.thumb")
    line = gateway.wait_for_access(lambda event: event["request_id"] == fields["x-request-id"])
    assert (line["status"], line["verdict"]) == (200, "passed")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/.well-known/acme-challenge/absent", 404),
        ("/.well-known/acme-challenge/", 404),
        ("/.well-known/acme-challenge/.secret", 404),
        ("/.well-known/acme-challenge/a/b", 404),
        ("/.well-known/acme-challenge/..%2f..%2ftls/server.key", 400),
        ("/.well-known/acme-challenge/../../../tls/server.key", 400),
        ("/.well-known/acme-challenge", 301),
        ("/.well-known/acme-challengeX", 301),
        ("/.well-known/other", 301),
    ],
)
def test_nothing_else_is_read_from_the_disk(gateway: Gateway, target: str, status: int) -> None:
    folder = gateway.state / "acme" / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".secret").write_text("secret", encoding="ascii")
    raw = gateway.raw(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), tls=False)
    assert answer(raw)[0] == status
    if status == 404:
        assert json.loads(answer(raw)[2])["code"] == "no_route"


def test_challenges_are_for_http_only(gateway: Gateway) -> None:
    target = "/.well-known/acme-challenge/aB-3_z"
    raw = gateway.raw(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert answer(raw)[0] == 404
