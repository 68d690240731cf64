"""Where the gateway listens, and with which certificate."""

import socket
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from bartizan.policy.base import Model, off_is_none
from bartizan.policy.formats import Format, Forms, word
from bartizan.policy.values import File

Port = Annotated[int, Field(ge=1, le=65535)]


class Listener(Model):
    """A public listener; a number alone is short for its port."""

    port: Annotated[Port, Field(examples=[8443])]
    """The TCP port."""
    redirect: bool = True
    """Only for http. `true` redirects to https (301, or 308 for other methods than GET and HEAD) and serves
    nothing else but `/healthz` and certbot's challenges; `false` serves the routes, where TLS ends before
    the gateway."""
    proxy_protocol: bool = False
    """Whether the balancer in front speaks the PROXY protocol (version 1 or 2). Then every connection must
    begin with it, and it counts if the balancer is in `trusted_proxies`; `X-Forwarded-For` counts no more."""


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
    """A loopback address."""
    port: Port
    """The TCP port."""

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


PublicListener = Annotated[
    Listener | None,
    BeforeValidator(_listener),
    Forms((word("off"), {"type": "integer", "minimum": 1, "maximum": 65535, "title": "port"})),
]
_OPERATOR = Forms(
    (
        {"type": "integer", "minimum": 1, "maximum": 65535, "title": "port"},
        {"type": "string", "title": "HOST:PORT", "examples": ["127.0.0.1:8081"]},
    ),
    instead=True,
)
_ADDRESS = Format("address", "an IP address", ("192.0.2.1", "::1"))


class Listen(Model):
    """Where the gateway listens."""

    https: PublicListener = Field(default=Listener(port=8443), examples=[8443])
    """Where HTTPS is spoken (TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2)."""
    http: PublicListener = Field(default=Listener(port=8080), examples=[8080])
    """Where plain HTTP is spoken; unless told otherwise it only redirects to https."""
    operator: Annotated[Operator, BeforeValidator(_operator), _OPERATOR] = Operator(port=8081)
    """Where `/metrics`, `/status` and `/readyz` are: a port, or HOST:PORT. On loopback only."""
    addresses: Annotated[tuple[Annotated[str, AfterValidator(_ip), _ADDRESS], ...], Field(min_length=1)] = (
        Field(default_factory=_every_interface)
    )
    """The addresses that https and http listen on. Absent: all of IPv4 (`0.0.0.0`), and of IPv6 (`::`) where
    the kernel has it."""


class Tls(Model):
    """The certificate that clients see. Without it a development certificate is made."""

    certificate: Annotated[File, Field(examples=["certs/fullchain.pem"])]
    """The certificate and its chain in PEM form, the server's own first (certbot's `fullchain.pem`)."""
    key: Annotated[File, Field(examples=["certs/privkey.pem"])]
    """Its private key in PEM form, without a passphrase (certbot's `privkey.pem`)."""
