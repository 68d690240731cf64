"""What wrk and h2load offer in TLS, and that a target that agrees on something else is found."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest

from load.bench import fixed_rate, wrk
from load.bench.tls import PROTOCOL, SUITE, Tls, TlsError, check_tls
from load.bench.traffic import Load, Request

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = Request("/", (("Host", "localhost"), ("User-Agent", "bench/1.0"), ("Accept", "*/*")))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls.made(tmp_path_factory.mktemp("tls"))


def server_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@contextmanager
def server(context: ssl.SSLContext) -> Iterator[tuple[str, Queue[tuple[str | None, str, str | None]]]]:
    """Answer requests on any number of connections, and note what each agreed on."""
    agreed: Queue[tuple[str | None, str, str | None]] = Queue()

    def serve(plain: socket.socket) -> None:
        try:
            with plain, context.wrap_socket(plain, server_side=True) as connection:
                cipher = connection.cipher()
                assert cipher is not None
                agreed.put((connection.version(), cipher[0], connection.selected_alpn_protocol()))
                while connection.recv(65536):
                    connection.sendall(ANSWER)
        except OSError:  # the client is gone, or did not like what it got
            return

    def accept() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            plain.settimeout(10)
            threading.Thread(target=serve, args=(plain,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}", agreed
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def every(agreed: Queue[tuple[str | None, str, str | None]]) -> set[tuple[str | None, str, str | None]]:
    return {agreed.get_nowait() for _ in range(agreed.qsize())}


def test_wrk_offers_one_suite(tls: Tls, tmp_path: Path) -> None:
    with server(server_context(tls)) as (url, agreed):
        wrk.drive(url, Load.written(REQUEST, tmp_path), 1, environment=tls.environment())
        assert every(agreed) == {(PROTOCOL, SUITE, None)}


def test_h2load_offers_the_same_and_speaks_http_1(tls: Tls, tmp_path: Path) -> None:
    with server(server_context(tls)) as (url, agreed):
        fixed_rate.drive(url, REQUEST, 200, 1, tmp_path / "log")
        assert every(agreed) == {(PROTOCOL, SUITE, "http/1.1")}


def test_a_target_that_speaks_as_all_must(tls: Tls) -> None:
    with server(server_context(tls)) as (url, _):
        check_tls(url, tls)


def test_a_target_without_tls_1_3(tls: Tls) -> None:
    context = server_context(tls)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with server(context) as (url, _), pytest.raises(TlsError, match=r"TLS is not TLSv1\.3, .* but: "):
        check_tls(url, tls)


def test_a_target_with_another_group(tls: Tls) -> None:
    context = server_context(tls)
    context.set_ecdh_curve("secp384r1")
    with server(context) as (url, _), pytest.raises(TlsError, match=r"TLS is not TLSv1\.3, .* but: "):
        check_tls(url, tls)


def test_a_target_with_another_certificate(tls: Tls, tmp_path: Path) -> None:
    other = server_context(Tls.made(tmp_path))
    with server(other) as (url, _), pytest.raises(TlsError, match="but: "):
        check_tls(url, tls)


def test_a_target_in_plain_text(tls: Tls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            plain, _ = listener.accept()
            with plain:
                plain.recv(1000)
                plain.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(TlsError, match="but: "):
            check_tls(f"https://127.0.0.1:{port}", tls)
        thread.join()
