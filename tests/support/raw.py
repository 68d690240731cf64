"""Bytes to a listener and bytes back: for requests that no HTTP library would send."""

import re
import socket
import ssl
import time


def exchange(
    port: int,
    data: bytes,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    responses: int = 1,
    head_only: bool = False,
    seconds: float = 20,
) -> bytes:
    """Send bytes and return what comes back.

    Args:
        port: where to.
        data: sent as it is.
        tls: a context for TLS; None for none.
        host: where to.
        responses: how many whole responses to wait for; fewer come back where the peer closes first.
        head_only: the responses have no body whatever their header says (they answer HEAD).
        seconds: how long to wait.

    Raises:
        TimeoutError: neither all responses nor the end came in time; the message shows what did.
    """
    deadline = time.monotonic() + seconds
    received = b""
    with socket.create_connection((host, port), timeout=seconds) as plain:
        connection = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        try:
            connection.sendall(data)
            while count_responses(received, head_only=head_only) < responses:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                chunk = connection.recv(65536)
                if not chunk:
                    break
                received += chunk
        except TimeoutError:
            raise TimeoutError(f"no whole response within {seconds} s, only {received!r}") from None
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            # nginx closes while a client still sends; what it said before that is what counts.
            pass
        finally:
            connection.close()
    return received


def count_responses(received: bytes, *, head_only: bool = False) -> int:
    """Return how many whole responses are in what was received; interim ones (1xx) don't count."""
    count = 0
    while (first := first_response(received, head_only=head_only)) is not None:
        status = status_of(first)
        count += status >= 200 or status == 101
        received = received[len(first) :]
    return count


def first_response(received: bytes, *, head_only: bool = False) -> bytes | None:
    """Return the first response in what was received, an interim one too; None if it is not whole yet.

    Args:
        received: what came on a connection.
        head_only: whether the response has no body whatever its header says (it answers HEAD).
    """
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    head, rest = received[:head_end], received[head_end + 4 :]
    status = status_of(head)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if head_only or status < 200 or status in {204, 304}:
        end = 0
    elif length is not None:
        end = int(length[1])
    elif re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        closing = re.search(rb"(?:^|\r\n)0\r\n\r\n", rest)
        if closing is None:
            return None
        end = closing.end()
    else:
        return None  # it ends with the connection
    return received[: head_end + 4 + end] if len(rest) >= end else None


def status_of(response: bytes) -> int:
    """Return the status of the first response."""
    found = re.match(rb"HTTP/1\.[01] (\d{3})", response)
    assert found is not None, f"no HTTP response: {response[:200]!r}"
    return int(found[1])
