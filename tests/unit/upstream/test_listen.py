"""Where the service may listen, and the sentences for where it may not."""

import socket

import pytest

from upstream.listen import ListenError, open_socket


@pytest.mark.parametrize(
    ("host", "bound"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("127.0.0.2", "127.0.0.2")]
)
def test_listens_on_loopback(host: str, bound: str) -> None:
    with open_socket(host, 0) as listener:
        assert listener.getsockname()[0] == bound


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "192.168.1.2", "8.8.8.8", "2001:db8::1", "fe80::1"]
)
def test_refuses_what_others_can_reach(host: str) -> None:
    with pytest.raises(ListenError, match=r"listens on loopback only, not on .*Use 127\.0\.0\.1 or ::1"):
        open_socket(host, 0)


def test_an_inner_network_has_to_be_asked_for() -> None:
    with open_socket("0.0.0.0", 0, inner_network=True) as listener:
        assert listener.getsockname()[1] > 0
    with pytest.raises(ListenError, match="or a private address on an inner network"):
        open_socket("8.8.8.8", 0, inner_network=True)


@pytest.mark.parametrize("host", ["example.org", "", "127.0.0.1:80", "[::1]", "127.1", "0x7f000001"])
def test_refuses_what_is_no_address(host: str) -> None:
    with pytest.raises(ListenError, match="is not an address to listen on"):
        open_socket(host, 0)


def test_says_when_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError, match=f"port {port} on 127.0.0.1 is taken: .* --port"):
            open_socket("127.0.0.1", port)
