"""The real address of a client: trusted proxies are believed, by header or PROXY protocol, nobody else."""

import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest

from tests.support.backend import Backend
from tests.support.gateway import Gateway
from tests.support.raw import count_responses, status_of
from tests.support.wire import fields_of, port_of

# The peer is the tests themselves: 127.0.0.1 is trusted, all other addresses of the loopback net are not.
TRUSTED: Final = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]
PROXY: Final = "127.0.0.1"
STRANGER: Final = "127.0.0.2"
ORIGIN: Final = "https://shop.example"


def policy(backend: Backend, **more: Any) -> dict[str, Any]:
    def route(path: str, **settings: Any) -> dict[str, Any]:
        return {"prefix": path, "methods": ["GET"], "upstream": "data", "auth": "none", **settings}

    return {
        "listen": {"http": {"redirect": False}},
        "origin": ORIGIN,
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {"rate": {"limit": "100000/s", "burst": 100000}},
        "routes": [
            route("/"),
            route("/once", rate={"limit": "1/h", "burst": 1}),
            route("/inside", addresses={"allow": ["10.0.0.0/8"]}),
            route("/outside", addresses={"deny": ["203.0.113.0/24", "2001:db8:1::/48"]}),
        ],
        **more,
    }


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend, trusted_proxies=TRUSTED)) as running:
        yield running


@pytest.fixture(autouse=True)
def _forget(backend: Backend) -> None:
    backend.forget()


def exchange(
    gateway: Gateway,
    data: bytes,
    *,
    source: str = PROXY,
    preface: bytes = b"",
    tls: bool = False,
    responses: int = 1,
) -> bytes:
    """Send bytes from an address, behind a preface that goes before TLS, and return what comes back."""
    with socket.create_connection(
        ("127.0.0.1", port_of(gateway, tls=tls)), timeout=20, source_address=(source, 0)
    ) as plain:
        plain.sendall(preface)
        connection = gateway.context().wrap_socket(plain, server_hostname="localhost") if tls else plain
        connection.sendall(data)
        received = b""
        while count_responses(received) < responses and (chunk := connection.recv(65536)):
            received += chunk
        connection.close()
    return received


def get(target: str = "/", *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: shop.example", *fields, "", ""]).encode()


def claiming(gateway: Gateway, *claims: str, target: str = "/", source: str = PROXY) -> int:
    """Ask through a proxy that says where the request comes from, and return the status."""
    fields = [f"X-Forwarded-For: {claim}" for claim in claims]
    return status_of(exchange(gateway, get(target, *fields), source=source))


def seen(backend: Backend) -> list[str | None]:
    """The addresses of the requests that reached the upstream."""
    return [request.header("X-Real-IP") for request in backend.requests]


def logged(gateway: Gateway, raw: bytes) -> str:
    wanted = dict(fields_of(raw))["x-request-id"]
    return str(gateway.wait_for_access(lambda line: line["request_id"] == wanted)["address"])


# --- X-Forwarded-For ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "address"),
    [
        ([], PROXY),
        (["203.0.113.7"], "203.0.113.7"),
        (["2001:db8::7"], "2001:db8::7"),
        # Only what trusted proxies have added counts: the rightmost address that is not theirs.
        (["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7, 10.1.2.3, fd00::1, 127.0.0.1"], "203.0.113.7"),
        (["127.0.0.1, 203.0.113.7"], "203.0.113.7"),
        (["10.1.2.3"], "10.1.2.3"),
        (["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7", "10.1.2.3"], "203.0.113.7"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        # What is no address is nobody's.
        (["unknown"], PROXY),
        (["6.6.6.6, unknown"], PROXY),
        (["203.0.113.7; x=1"], PROXY),
        (["localhost"], PROXY),
        ([""], PROXY),
        (["203.0.113.256"], PROXY),
    ],
)
def test_a_trusted_proxy_is_believed(
    gateway: Gateway, backend: Backend, claims: Sequence[str], address: str
) -> None:
    assert claiming(gateway, *claims) == 200
    (request,) = backend.requests
    assert request.all("X-Forwarded-For") == request.all("X-Real-IP") == [address]
    shown = f'"[{address}]"' if ":" in address else address
    assert request.header("Forwarded") == f'for={shown};host="shop.example";proto=https'


@pytest.mark.parametrize("claims", [["203.0.113.7"], ["127.0.0.1"], ["10.1.2.3"], ["203.0.113.7, 127.0.0.1"]])
def test_anyone_else_is_not(gateway: Gateway, backend: Backend, claims: Sequence[str]) -> None:
    assert claiming(gateway, *claims, source=STRANGER) == 200
    (request,) = backend.requests
    assert request.all("X-Forwarded-For") == request.all("X-Real-IP") == [STRANGER]


@pytest.mark.parametrize(
    "field",
    [
        "X_Forwarded_For: 203.0.113.7", "X.Forwarded.For: 203.0.113.7", "X-Real-IP: 203.0.113.7",
        "Forwarded: for=203.0.113.7", "True-Client-IP: 203.0.113.7", "X-Client-IP: 203.0.113.7",
        "CF-Connecting-IP: 203.0.113.7",
    ],
)  # fmt: skip
@pytest.mark.parametrize("source", [PROXY, STRANGER])
def test_no_other_header_says_where_a_request_comes_from(
    gateway: Gateway, backend: Backend, field: str, source: str
) -> None:
    exchange(gateway, get("/", field), source=source)
    assert seen(backend) == [source]


def test_without_trusted_proxies_nobody_is_believed(backend: Backend) -> None:
    with Gateway(policy(backend)) as gateway:
        assert claiming(gateway, "203.0.113.7") == 200
        assert seen(backend) == [PROXY]


def test_each_request_on_a_kept_connection_has_its_own_address(gateway: Gateway, backend: Backend) -> None:
    wanted = ["203.0.113.1", "203.0.113.2", PROXY, "2001:db8::1", PROXY]
    data = b"".join(
        get(f"/{number}", *([] if address == PROXY else [f"X-Forwarded-For: {address}"]))
        for number, address in enumerate(wanted)
    )
    exchange(gateway, data, responses=len(wanted))
    assert seen(backend) == wanted


# --- What is decided by it ---------------------------------------------------------------------------------


def test_limits_count_the_real_address(gateway: Gateway) -> None:
    ask = {"target": "/once"}
    assert claiming(gateway, "198.51.100.1", **ask) == 200
    assert claiming(gateway, "198.51.100.1", **ask) == 429
    assert claiming(gateway, "198.51.100.2", **ask) == 200
    assert claiming(gateway, "198.51.100.3, 198.51.100.1", **ask) == 429
    # A /64 is one customer's.
    assert claiming(gateway, "2001:db8:2::1", **ask) == 200
    assert claiming(gateway, "2001:db8:2::ffff", **ask) == 429
    assert claiming(gateway, "2001:db8:2:1::1", **ask) == 200


def test_an_ipv4_address_is_one_however_it_is_written(gateway: Gateway) -> None:
    assert claiming(gateway, "198.51.100.9", target="/once") == 200
    # RFC 4291 section 2.5.5.2: the same address, mapped.
    assert claiming(gateway, "::ffff:198.51.100.9", target="/once") == 429


def test_who_lies_is_counted_as_who_he_is(gateway: Gateway) -> None:
    statuses = [
        claiming(gateway, f"198.51.100.{number}", target="/once", source=STRANGER) for number in range(50, 55)
    ]
    assert statuses == [200, 429, 429, 429, 429]


@pytest.mark.parametrize(
    ("target", "claim", "source", "status"),
    [
        ("/inside", "10.1.2.3", PROXY, 200),
        ("/inside", "203.0.113.7", PROXY, 403),
        ("/inside", "10.1.2.3, 203.0.113.7", PROXY, 403),
        ("/inside", "10.1.2.3", STRANGER, 403),
        ("/outside", "203.0.113.7", PROXY, 403),
        ("/outside", "2001:db8:1::1", PROXY, 403),
        ("/outside", "::ffff:203.0.113.7", PROXY, 403),
        ("/outside", "198.51.100.1", PROXY, 200),
        ("/outside", "203.0.113.7", STRANGER, 200),
    ],
)
def test_address_lists_judge_the_real_address(
    gateway: Gateway, target: str, claim: str, source: str, status: int
) -> None:
    assert claiming(gateway, claim, target=target, source=source) == status


def test_the_audit_log_names_the_real_address(gateway: Gateway) -> None:
    raw = exchange(gateway, get("/inside", "X-Forwarded-For: 203.0.113.7"))
    wanted = dict(fields_of(raw))["x-request-id"]
    event = gateway.wait_for_audit(lambda event: event["request_id"] == wanted)
    assert (event["address"], event["code"]) == ("203.0.113.7", "address_denied")


def test_nginx_s_own_refusals_name_it_too(gateway: Gateway) -> None:
    raw = exchange(gateway, b"GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.7\r\nHost: a b\r\n\r\n")
    assert (status_of(raw), logged(gateway, raw)) == (400, "203.0.113.7")


def test_behind_a_trusted_proxy_the_way_is_the_public_one(gateway: Gateway, backend: Backend) -> None:
    raw = exchange(gateway, get("/"))
    request = backend.requests[0]
    assert (request.header("X-Forwarded-Proto"), request.header("X-Forwarded-Port")) == ("https", "443")
    assert "strict-transport-security" in dict(fields_of(raw))
    backend.forget()
    raw = exchange(gateway, get("/", "X-Forwarded-Proto: https"), source=STRANGER)
    request = backend.requests[0]
    assert request.header("X-Forwarded-Proto") == "http"
    assert request.header("X-Forwarded-Port") == str(port_of(gateway, tls=False))
    assert "strict-transport-security" not in dict(fields_of(raw))


# --- The PROXY protocol ------------------------------------------------------------------------------------

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"


def version2(source: str, command: int = 1) -> bytes:
    """A header of version 2 for a connection of TCP; command 0 is LOCAL, the proxy's own (a health check)."""
    family, kind, target = (
        (socket.AF_INET6, 0x21, "2001:db8::ffff") if ":" in source else (socket.AF_INET, 0x11, "192.0.2.1")
    )
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, target)
    addresses += struct.pack("!HH", 4711, 443)
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, kind, len(addresses)) + addresses


@pytest.fixture(scope="module")
def balanced(backend: Backend) -> Iterator[Gateway]:
    """A gateway behind a balancer that speaks the PROXY protocol on both listeners."""
    listen = {"https": {"proxy_protocol": True}, "http": {"proxy_protocol": True, "redirect": False}}
    with Gateway(policy(backend, trusted_proxies=TRUSTED, listen=listen)) as running:
        running.expect_error("broken header:|unknown PROXY protocol version: 3")
        yield running


HEADERS: Final = {
    "version 1, IPv4": (b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n", "203.0.113.7"),
    "version 1, IPv6": (b"PROXY TCP6 2001:db8::7 2001:db8::ffff 4711 443\r\n", "2001:db8::7"),
    "version 1, unknown": (b"PROXY UNKNOWN\r\n", PROXY),
    "version 1, no address": (b"PROXY TCP4 300.0.0.1 192.0.2.1 4711 443\r\n", PROXY),
    "version 2, IPv4": (version2("203.0.113.7"), "203.0.113.7"),
    "version 2, IPv6": (version2("2001:db8::7"), "2001:db8::7"),
    "version 2, local": (version2("203.0.113.7", command=0), PROXY),
}


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(("preface", "address"), HEADERS.values(), ids=HEADERS)
def test_the_balancer_says_where_a_connection_comes_from(
    balanced: Gateway, backend: Backend, preface: bytes, address: str, tls: bool
) -> None:
    assert status_of(exchange(balanced, get("/"), preface=preface, tls=tls)) == 200
    assert seen(backend) == [address]


@pytest.mark.parametrize("preface", [HEADERS["version 1, IPv4"][0], HEADERS["version 2, IPv4"][0]])
def test_anyone_else_who_speaks_it_is_not_believed(
    balanced: Gateway, backend: Backend, preface: bytes
) -> None:
    assert status_of(exchange(balanced, get("/"), preface=preface, source=STRANGER)) == 200
    assert seen(backend) == [STRANGER]


def test_beside_it_the_header_says_nothing(balanced: Gateway, backend: Backend) -> None:
    exchange(balanced, get("/", "X-Forwarded-For: 6.6.6.6"), preface=HEADERS["version 1, IPv4"][0])
    assert seen(backend) == ["203.0.113.7"]


def test_all_requests_of_a_connection_come_from_there(balanced: Gateway, backend: Backend) -> None:
    exchange(balanced, get("/1") + get("/2"), preface=version2("203.0.113.7"), responses=2)
    assert seen(backend) == ["203.0.113.7"] * 2


@pytest.mark.parametrize(
    "data",
    [
        get("/"),
        b"PROXY TCP4 203.0.113.7\r\n" + get("/"),
        SIGNATURE + b"\x31\x11\x00\x0c" + b"\0" * 12 + get("/"),
        b" PROXY UNKNOWN\r\n" + get("/"),
    ],
)
def test_a_connection_without_it_is_closed(balanced: Gateway, backend: Backend, data: bytes) -> None:
    assert exchange(balanced, data) == b""
    assert backend.requests == []


def test_tls_without_it_is_closed(balanced: Gateway) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        exchange(balanced, get("/"), tls=True)


def test_a_gateway_that_does_not_await_it_takes_it_for_what_it_is(gateway: Gateway, backend: Backend) -> None:
    raw = exchange(gateway, get("/"), preface=HEADERS["version 1, IPv4"][0])
    assert status_of(raw) == 400
    assert backend.requests == []


def test_what_a_request_was_is_shown_whole(balanced: Gateway, backend: Backend) -> None:
    exchange(balanced, get("/a?b=c"), preface=version2("2001:db8::7"), tls=True)
    (request,) = backend.requests
    assert request.target == "/a?b=c"
    assert request.header("Forwarded") == 'for="[2001:db8::7]";host="shop.example";proto=https'
