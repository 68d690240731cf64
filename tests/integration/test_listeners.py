"""Where the gateway listens, to whom, and what each listener does."""

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest

from tests.support.backend import Backend
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection, request
from tests.support.listening import TWO_HOSTS_AND_ANY, answer, policy
from tests.support.ports import free_port
from tests.support.raw import exchange, status_of
from tests.support.wire import port_of


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    """A gateway with routes for two hosts and for any."""
    with Gateway(policy(backend, routes=TWO_HOSTS_AND_ANY)) as running:
        yield running


@pytest.fixture(autouse=True)
def _forget(backend: Backend) -> None:
    backend.forget()


# --- Who is meant ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "target", "status"),
    [
        ("shop.example", "/", 200),
        ("SHOP.EXAMPLE:1234", "/", 200),
        ("blog.example.", "/", 200),
        ("evil.example", "/", 404),
        ("shop.example.evil.example", "/", 404),
        ("localhost", "/", 404),
        ("127.0.0.1", "/", 404),
        ("evil.example", "/api", 200),
        ("evil.example", "/healthz", 200),
    ],
)
@pytest.mark.parametrize("name", ["localhost", "unknown.example", None])
def test_an_unknown_name_is_denied_whatever_the_handshake_said(
    gateway: Gateway, name: str | None, host: str, target: str, status: int
) -> None:
    context = gateway.context()
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", port_of(gateway)), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer(raw)[0] == status


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("tls", [True, False])
def test_ipv4_and_ipv6(gateway: Gateway, address: str, tls: bool) -> None:
    raw = exchange(
        port_of(gateway, tls=tls),
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        tls=gateway.context() if tls else None,
        host=address,
    )
    status, fields, body = answer(raw)
    assert (status, body) == (200, b'{"status":"ok"}\n')
    assert fields["cache-control"] == "no-store"
    line = gateway.wait_for_access(lambda event: event["request_id"] == fields["x-request-id"])
    assert line["address"] == address


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_health_is_only_read(gateway: Gateway, method: str) -> None:
    for tls in (True, False):
        raw = gateway.raw(f"{method} /healthz HTTP/1.1\r\nHost: a\r\n\r\n".encode(), tls=tls)
        status, fields, _ = answer(raw)
        assert (status, fields["allow"]) == (405, "GET, HEAD")


def test_one_address_alone(backend: Backend) -> None:
    with Gateway(policy(backend, listen={"addresses": ["127.0.0.1"]})) as gateway:
        assert status_of(gateway.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")) == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("::1", port_of(gateway)), timeout=5)


def test_without_https(backend: Backend) -> None:
    # Where TLS ends before the gateway.
    with Gateway(policy(backend, listen={"https": "off", "http": {"redirect": False}})) as gateway:
        assert status_of(gateway.raw(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", tls=False)) == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(gateway)), timeout=5)


# --- The operator's own ------------------------------------------------------------------------------------


def listening(gateway: Gateway) -> set[tuple[str, int]]:
    """The addresses and ports that nginx listens on."""
    sockets = psutil.Process(gateway.master).net_connections("inet")
    return {tuple(entry.laddr) for entry in sockets if entry.status == psutil.CONN_LISTEN}


def test_only_loopback_reaches_the_operators_listener(gateway: Gateway) -> None:
    port = int(gateway.operator.rpartition(":")[2])
    public = {port_of(gateway), port_of(gateway, tls=False)}
    found = listening(gateway)
    assert {host for host, number in found if number == port} == {"127.0.0.1"}
    assert {(host, number) for host, number in found if number != port} == {
        (host, number) for host in ("0.0.0.0", "::") for number in public
    }


@pytest.mark.parametrize("path", ["/metrics", "/status", "/readyz"])
def test_the_operators_pages(gateway: Gateway, path: str) -> None:
    assert httpx.get(gateway.operator + path, trust_env=False).status_code == 200
    assert httpx.head(gateway.operator + path, trust_env=False).status_code == 200
    assert httpx.post(gateway.operator + path, trust_env=False).status_code == 405
    for tls in (True, False):
        raw = gateway.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), tls=tls)
        assert answer(raw)[0] == (404 if tls else 301)


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metricsx", "/healthz", "/.bartizan/edge", "/api"])
def test_the_operators_listener_has_nothing_else(gateway: Gateway, path: str) -> None:
    assert httpx.get(gateway.operator + path, trust_env=False).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "10.0.0.1", "localhost.evil.example"])
def test_a_page_cannot_read_it_through_its_own_name(gateway: Gateway, host: str) -> None:
    # DNS rebinding: the browser believes that evil.example is 127.0.0.1.
    headers = {"Host": host}
    assert httpx.get(f"{gateway.operator}/metrics", headers=headers, trust_env=False).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_the_operator_may_choose_another_loopback_address(backend: Backend, host: str) -> None:
    port = free_port()
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    # It is ready only if it was asked for there.
    with Gateway(policy(backend, listen={"operator": address})) as gateway:
        assert httpx.get(f"http://{address}/readyz", trust_env=False).status_code == 200
        assert {found for found, number in listening(gateway) if number == port} == {host}
        gateway.reload()


@pytest.mark.parametrize("path", ["edge", "refused", "close", "acme", "c1"])
@pytest.mark.parametrize("tls", [True, False])
def test_the_inner_locations_are_not_reached_from_outside(gateway: Gateway, path: str, tls: bool) -> None:
    raw = gateway.raw(f"GET /.bartizan/{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), tls=tls)
    assert answer(raw)[0] == (404 if tls else 301)


# --- Several, many, and whose -------------------------------------------------------------------------------


def test_two_gateways_at_once(backend: Backend) -> None:
    routes = [{"path": f"/{name}", "methods": ["GET"], "upstream": "data", "auth": "none"} for name in "ab"]
    with (
        Gateway(policy(backend, routes=routes[:1])) as first,
        Gateway(policy(backend, routes=routes[1:])) as second,
    ):
        for gateway, wanted in ((first, [200, 404]), (second, [404, 200])):
            with gateway.client() as client:
                assert [client.get(path).status_code for path in ("/a", "/b")] == wanted
        first.stop()
        with second.client() as client:
            assert client.get("/b").status_code == 200


CAP: Final = 1000
STREAMS: Final = 125  # nginx takes up to 128 at a time on a connection


def hold(gateway: Gateway, stack: ExitStack, sources: Sequence[str]) -> None:
    """Have as many requests under way as one address may have, from these addresses in turn."""
    for number in range(CAP // STREAMS):
        connection = stack.enter_context(Connection(port_of(gateway), gateway.context()))
        source = (b"x-forwarded-for", sources[number % len(sources)].encode())
        for _ in range(STREAMS):
            # Its body never comes, so it is under way until it is given up after 15 s.
            connection.send([*request("/", "POST"), source], end=False)


def asked_by(gateway: Gateway, source: str) -> bytes:
    head = f"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {source}\r\n\r\n"
    return gateway.raw(head.encode())


@pytest.mark.parametrize(
    ("sources", "same", "other"),
    [
        (["192.0.2.1"], "192.0.2.1", "192.0.2.2"),
        # One customer has a /64, and can use any address in it.
        ([f"2001:db8::{number}" for number in range(1, 9)], "2001:db8::ffff", "2001:db8:0:1::1"),
    ],
)
def test_one_address_has_so_many_requests_at_once(
    backend: Backend, sources: list[str], same: str, other: str
) -> None:
    with Gateway(policy(backend, workers=1, trusted_proxies=["127.0.0.1"])) as gateway:
        with ExitStack() as stack:
            hold(gateway, stack, sources)

            def refused() -> bytes | None:
                raw = asked_by(gateway, same)
                return raw if status_of(raw) == 429 else None

            # The last streams may not have been read yet.
            assert json.loads(answer(wait_for(refused, 10))[2])["code"] == "too_many_connections"
            assert status_of(asked_by(gateway, other)) == 200
            event = gateway.wait_for_audit(lambda event: event["code"] == "too_many_connections")
            assert (event["address"], event["status"]) == (same, 429)
        wait_for(lambda: status_of(asked_by(gateway, same)) == 200)


def test_an_ordinary_user_can_run_it(backend: Backend) -> None:
    with Gateway(policy(backend), user="nobody") as gateway, gateway.client() as client:
        processes = [psutil.Process(pid) for pid in (gateway.master, *gateway.worker_pids())]
        assert all(process.uids().effective != 0 for process in processes)
        assert client.get("/a").status_code == 200
        assert client.post("/a", content=b"x" * 200_000).status_code == 200  # through a temporary file
        assert gateway.wait_for_access(lambda event: event["path"] == "/a")
        gateway.reload()
        assert client.get("/b").status_code == 200
        kept = {path: path.stat().st_mode & 0o777 for path in Path(gateway.state, "tls").glob("*.key")}
        assert set(kept.values()) == {0o600}


def test_nothing_is_said_at_the_start_but_that_it_is_ready(backend: Backend) -> None:
    trusted = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]
    with Gateway(policy(backend, trusted_proxies=trusted)) as gateway:
        gateway.reload()
        said = [line for line in gateway.stderr().splitlines() if not line.startswith("bartizan: ")]
        assert said == []


def test_it_takes_connections_of_other_machines_only_where_it_is_public(gateway: Gateway) -> None:
    outward = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ]
    operator = int(gateway.operator.rpartition(":")[2])
    # A machine without any other address has nobody to refuse; test_only_loopback_... holds there too.
    for address in outward:
        with socket.create_connection((address, port_of(gateway)), timeout=5):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, operator), timeout=5)
