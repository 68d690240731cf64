"""Where the service listens: on the machine itself, behind the gateway, and nowhere else."""

import errno
import ipaddress
import socket


class ListenError(Exception):
    """The service can't listen there; the message is a sentence for the operator."""


def open_socket(host: str, port: int, *, inner_network: bool = False) -> socket.socket:
    """Open the listening socket.

    Args:
        host: an address of this machine, or `localhost`.
        port: the port, 0 for a free one.
        inner_network: also admit private addresses and "any": for a container, where nothing but the gateway
            is on the network.

    Raises:
        ListenError: the address is one that others can reach, or the port is taken or not allowed.
    """
    address = _address(host)
    private = address.is_private or address.is_unspecified
    if not address.is_loopback and not (inner_network and private):
        also = ", or a private address on an inner network" if inner_network else ""
        raise ListenError(
            f"upstream listens on loopback only, not on {host}: the gateway is the way in. "
            f"Use 127.0.0.1 or ::1{also}."
        )
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((str(address), port))
    except OSError as error:
        listener.close()
        raise ListenError(_sentence(error, host, port)) from error
    return listener


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ListenError(f"{host!r} is not an address to listen on. Use 127.0.0.1 or ::1.") from None


def _sentence(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"port {port} on {host} is taken: stop what listens there, or name another one with --port."
            )
        case errno.EACCES:
            return f"port {port} needs rights that this user has not: name one from 1024 with --port."
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine. Use 127.0.0.1 or ::1."
        case _:
            return f"can't listen on {host} port {port}: {error.strerror}."
