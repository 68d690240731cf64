"""`tokendealer token` against services of all kinds."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import trustme

from tokendealer.problems import PersonError
from tokendealer.token_request import fetch_token

DEMO = {"client_id": "demo", "client_secret": "s+e c", "scope": "a b", "audience": "data"}


@contextmanager
def answering(
    status: int, body: bytes, context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[bytes]]]:
    """Answer every POST alike; yield the origin and the bodies that were received."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{scheme}://localhost:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_token_is_fetched_by_form() -> None:
    with answering(200, b'{"access_token": "a.b.c"}') as (url, received):
        assert fetch_token(DEMO, url, None, None) == "a.b.c"
        assert fetch_token(DEMO, url + "/", None, "a") == "a.b.c"
    forms = [parse_qs(body.decode()) for body in received]
    assert forms[0] == {
        "grant_type": ["client_credentials"],
        "client_id": ["demo"],
        "client_secret": ["s+e c"],
        "audience": ["data"],
        "scope": ["a b"],
    }
    assert forms[1]["scope"] == ["a"]


def test_https_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with answering(200, b'{"access_token": "a.b.c"}', context) as (url, received):
        assert fetch_token(DEMO, url, tmp_path / "ca.pem", None) == "a.b.c"
        with pytest.raises(PersonError, match="certificate verify failed"):
            fetch_token(DEMO, url, None, None)
    assert len(received) == 1


ERROR = json.dumps({"error": "invalid_client", "error_description": "Client authentication failed."}).encode()


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, ERROR, "refuses with 401: Client authentication failed."),
        (302, ERROR, "refuses with 302"),
        (200, b"{}", "answers 200 and not as a token service does"),
        (200, b"<html>", "answers 200 and not as a token service does"),
        (502, b"", "answers 502 and not as a token service does"),
        (404, b"[]", "answers 404 and not as a token service does"),
    ],
)
def test_a_refusal_is_one_sentence(status: int, body: bytes, sentence: str) -> None:
    with answering(status, body) as (url, received), pytest.raises(PersonError) as failed:
        fetch_token(DEMO, url, None, None)
    assert sentence in str(failed.value)
    assert "\n" not in str(failed.value)
    assert len(received) == 1


def test_no_service_at_all() -> None:
    with answering(200, b"") as (url, _):
        pass
    with pytest.raises(PersonError, match=f"^cannot get a token from {url}/oauth/token: "):
        fetch_token(DEMO, url, None, None)


@pytest.mark.parametrize(
    "url", ["localhost:5100", "", "ftp://localhost", "http://[", "http://localhost:port"]
)
def test_no_url(url: str) -> None:
    with pytest.raises(PersonError):
        fetch_token(DEMO, url, None, None)


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_no_authority(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(PersonError, match="cannot read certificates from "):
        fetch_token(DEMO, "https://localhost:1", tmp_path / "ca.pem", None)
