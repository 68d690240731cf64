"""Where the gateway listens, and with which certificate."""

import socket
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from bartizan.policy.base import Model, off_is_none
from bartizan.policy.values import File

Port = Annotated[int, Field(ge=1, le=65535)]


class Listener(Model):
    """A public listener; a number alone is short for its port."""

    port: Port
    redirect: bool = Field(
        default=True, description="http only: redirect to https, and serve nothing but certbot's challenges"
    )
    proxy_protocol: bool = Field(
        default=False, description="whether the balancer in front speaks the PROXY protocol"
    )


def _listener(value: Any) -> Any:
    value = off_is_none(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return {"port": value}
    if value is None or isinstance(value, dict):
        return value
    raise ValueError("is not a listener; write a port, {port: ...}, or off")


def _operator(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"port": value}
    if isinstance(value, str):
        host, colon, port = value.rpartition(":")
        if colon and port.isascii() and port.isdigit():
            return {"host": host.removeprefix("[").removesuffix("]"), "port": int(port)}
    raise ValueError(
        "is not an address; write a port, or HOST:PORT with a loopback host, such as 127.0.0.1:8081"
    )


def _loopback(value: str) -> str:
    if value == "localhost":
        return "127.0.0.1"
    try:
        if ip_address(value).is_loopback:
            return value
    except ValueError:
        pass
    raise ValueError("is not a loopback address; metrics are the operator's own: use 127.0.0.1 or ::1")


class Operator(Model):
    """The operator's own listener: /metrics, /status, /readyz. Written as a port or HOST:PORT."""

    host: Annotated[str, AfterValidator(_loopback)] = "127.0.0.1"
    port: Port

    @property
    def address(self) -> str:
        """HOST:PORT, as nginx's `listen` and a URL take it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _ip(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError(
            "is not an IP address; write the addresses to listen on, such as 0.0.0.0 or ::"
        ) from None


def _every_interface() -> tuple[str, ...]:
    """A public gateway speaks IPv4 and IPv6; nginx would not start where the kernel has no IPv6 at all."""
    every = ("0.0.0.0", "::")  # noqa: S104  # nosec B104
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return every[:1]
    return every


class Listen(Model):
    """Where the gateway listens."""

    https: Annotated[Listener | None, BeforeValidator(_listener)] = Listener(port=8443)
    http: Annotated[Listener | None, BeforeValidator(_listener)] = Listener(port=8080)
    operator: Annotated[Operator, BeforeValidator(_operator)] = Operator(port=8081)
    addresses: Annotated[tuple[Annotated[str, AfterValidator(_ip)], ...], Field(min_length=1)] = Field(
        default_factory=_every_interface
    )


class Tls(Model):
    """The certificate that clients see. Without it a development certificate is made."""

    certificate: File
    key: File
