"""TLS as the https listener speaks it: versions, ciphers, HTTP/2 by ALPN, and renewed certificates."""

import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPSConnection
from typing import Any, Final

import httpx
import pytest
import trustme

from tests.support.backend import Backend, Response
from tests.support.gateway import Gateway
from tests.support.raw import status_of
from tests.support.wire import fields_of, port_of

AUTHORITY: Final = trustme.CA()
TLS: Final = {"certificate": "cert.pem", "key": "cert.key"}


def issued(kind: trustme.KeyType = trustme.KeyType.RSA) -> dict[str, bytes]:
    """A certificate and its key, as files beside a policy."""
    certificate = AUTHORITY.issue_cert("localhost", key_type=kind)
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    return {"cert.pem": chain, "cert.key": certificate.private_key_pem.bytes()}


def policy(backend: Backend, **more: Any) -> dict[str, Any]:
    route = {"prefix": "/", "methods": ["GET"], "upstream": "data", "auth": "none"}
    return {"upstreams": {"data": {"servers": [backend.url]}}, "tls": TLS, "routes": [route], **more}


@pytest.fixture(scope="module", params=[trustme.KeyType.RSA, trustme.KeyType.ECDSA], ids=["RSA", "ECDSA"])
def gateway(request: pytest.FixtureRequest, backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend), files=issued(request.param)) as running:
        yield running


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def handshake(gateway: Gateway, *options: str) -> subprocess.CompletedProcess[str]:
    """Shake hands as openssl does, which still speaks what no library should."""
    address = f"localhost:{port_of(gateway)}"
    command = ["openssl", "s_client", "-connect", address, "-servername", "localhost", *options]
    return subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)


def kind_of(gateway: Gateway) -> str:
    """RSA or ECDSA: which certificate the gateway has."""
    return "ECDSA" if "BEGIN EC" in (gateway.state / "cert.key").read_text() else "RSA"


# --- Versions and ciphers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "version"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3"), ("-no_ssl3", "TLSv1.3")]
)
def test_today_s_versions_are_spoken(gateway: Gateway, option: str, version: str) -> None:
    done = handshake(gateway, option)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^New, {re.escape(version)}, Cipher is (?!\(NONE\))", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("option", ["-tls1_1", "-tls1"])
def test_old_versions_are_refused(gateway: Gateway, option: str) -> None:
    # At security level 0 this openssl does offer them, so it is the gateway that refuses.
    done = handshake(gateway, option, "-cipher", "ALL:@SECLEVEL=0")
    assert done.returncode != 0
    assert "alert protocol version" in done.stderr


STRONG: Final = (
    "AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305",
)  # fmt: skip


@pytest.mark.parametrize("cipher", STRONG)
def test_strong_ciphers_are_taken(gateway: Gateway, cipher: str) -> None:
    wanted = f"ECDHE-{kind_of(gateway)}-{cipher}"
    done = handshake(gateway, "-tls1_2", "-cipher", wanted)
    assert done.returncode == 0, done.stderr
    assert f"Cipher is {wanted}" in done.stdout


# No forward secrecy, CBC with MAC-then-encrypt, SHA-1, no authentication, no encryption.
WEAK: Final = (
    "ECDHE-{}-AES128-SHA", "ECDHE-{}-AES128-SHA256", "ECDHE-{}-AES256-SHA384", "ECDHE-{}-NULL-SHA",
    "AES128-GCM-SHA256", "AES256-SHA", "CAMELLIA128-SHA", "NULL-SHA256", "AECDH-AES128-SHA", "AECDH-NULL-SHA",
    "ADH-AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256",
)  # fmt: skip


@pytest.mark.parametrize("cipher", WEAK)
def test_weak_ciphers_are_refused(gateway: Gateway, cipher: str) -> None:
    offered = cipher.format(kind_of(gateway))
    done = handshake(gateway, "-tls1_2", "-cipher", f"{offered}:@SECLEVEL=0")
    assert done.returncode != 0
    assert "alert handshake failure" in done.stderr, done.stderr


def test_a_client_cannot_renegotiate(gateway: Gateway) -> None:
    address = f"localhost:{port_of(gateway)}"
    command = ["openssl", "s_client", "-connect", address, "-tls1_2", "-no_ign_eof"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said, _ = process.communicate("R\n", timeout=60)
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said


def test_no_session_ticket_is_sealed_with_a_key_that_lives_long(gateway: Gateway) -> None:
    done = handshake(gateway, "-tls1_2")
    assert "TLS session ticket" not in done.stdout


# --- HTTP/2 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["h2", "http/1.1"], "h2"),
        (["http/1.1", "h2"], "h2"),
        (["http/1.1"], "http/1.1"),
        ([], None),
    ],
)
def test_http2_is_chosen_in_the_handshake(gateway: Gateway, offered: list[str], chosen: str | None) -> None:
    context = trusting()
    if offered:
        context.set_alpn_protocols(offered)
    with (
        socket.create_connection(("localhost", port_of(gateway)), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        assert connection.selected_alpn_protocol() == chosen


@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
def test_both_versions_reach_the_service(gateway: Gateway, http2: bool, version: str) -> None:
    with httpx.Client(verify=trusting(), http2=http2, timeout=20) as client:
        answer = client.get(f"{gateway.https}/a")
    assert (answer.status_code, answer.http_version) == (200, version)
    wanted = answer.headers["x-request-id"]
    line = gateway.wait_for_access(lambda event: event["request_id"] == wanted)
    assert line["protocol"] == {"HTTP/2": "HTTP/2.0"}.get(version, version)


# --- What is no TLS ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/", "/healthz", "/a?b=c"])
def test_plain_http_on_the_tls_port_is_told_so(gateway: Gateway, target: str) -> None:
    data = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port_of(gateway)), timeout=20) as connection:
        connection.sendall(data)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    fields = dict(fields_of(raw))
    assert (status_of(raw), fields["content-type"]) == (400, "application/problem+json")
    assert json.loads(raw.partition(b"\r\n\r\n")[2])["code"] == "plain_http"
    assert "strict-transport-security" not in fields  # RFC 6797 section 7.2: over TLS only
    event = gateway.wait_for_audit(lambda event: event["request_id"] == fields["x-request-id"])
    assert (event["code"], event["status"], event["decision"]) == ("plain_http", 400, "refused")


@pytest.mark.parametrize("data", [b"\0" * 64, b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-OpenSSH_9\r\n"])
def test_anything_else_is_only_closed(gateway: Gateway, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port_of(gateway)), timeout=20) as connection:
        connection.sendall(data)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"200" not in raw
    with httpx.Client(verify=trusting(), timeout=20) as client:
        assert client.get(f"{gateway.https}/healthz").status_code == 200


# --- Renewal -----------------------------------------------------------------------------------------------


def test_a_renewed_certificate_is_swapped_in_and_no_connection_is_lost() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def respond(request: Any) -> Response:
        if request.target == "/slow":
            asked.set()
            assert go_on.wait(60)
        return Response()

    def serial(gateway: Gateway) -> str:
        found = re.search(r"serial=(\w+)", x509(handshake(gateway).stdout))
        assert found is not None
        return found[1]

    def ask_slowly(gateway: Gateway) -> None:
        with httpx.Client(verify=trusting(), timeout=60) as client:
            answers.append(client.get(f"{gateway.https}/slow").status_code)

    answers: list[int] = []
    with Backend(respond) as backend, Gateway(policy(backend), files=issued()) as gateway:
        kept = HTTPSConnection("localhost", port_of(gateway), context=trusting(), timeout=30)
        kept.request("GET", "/before")
        assert kept.getresponse().read() == b"ok\n"
        slow = threading.Thread(target=ask_slowly, args=(gateway,))
        slow.start()
        assert asked.wait(30)
        before = serial(gateway)
        for name, data in issued().items():
            (gateway.state / name).write_bytes(data)
        gateway.reload()
        assert serial(gateway) != before
        go_on.set()
        slow.join(30)
        assert answers == [200]
        kept.close()


def x509(printed: str) -> str:
    """What openssl says of the certificate in the output of s_client."""
    command = ["openssl", "x509", "-noout", "-serial"]
    return subprocess.run(
        command, input=printed, capture_output=True, text=True, timeout=60, check=True
    ).stdout
