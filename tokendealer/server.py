"""Running the service: hypercorn on uvloop, on a socket that was bound before anything else was begun."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from typing import Any

import structlog
import uvloop
from hypercorn.config import Config

from tokendealer.acceptor import accept
from tokendealer.app import create_app
from tokendealer.logs import configure_logging
from tokendealer.problems import PersonError
from tokendealer.service import open_service
from tokendealer.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""Longer than nginx keeps an idle connection to an upstream (60 s), so that the gateway, which can tell
whether a request was sent, is the one to close it."""


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is being answered.

    Raises:
        PersonError: The state folder or the address cannot be used; the sentence says why.
    """
    with (
        bind(settings.host, settings.port) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    async with open_service(settings) as service:
        configure_logging(settings.log)
        log: Any = structlog.get_logger("tokendealer")
        log.info(
            "listening",
            url=url_of(listener),
            issuer=settings.issuer,
            algorithm=service.keys.active.algorithm,
            kid=service.keys.active.kid,
            clients=len(service.clients),
        )
        await accept(create_app(service), _hypercorn_config(), listener, stop)
        log.info("stopped")


def _hypercorn_config() -> Config:
    config = Config()
    config.accesslog = None  # it would write query strings; every decision has an event of its own
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = 1_000_000
    config.graceful_timeout = 5
    return config


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        PersonError: The address is unknown, taken, or not allowed.
    """
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise PersonError(f"cannot listen on {where}: {error.strerror}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        # Listening at once: two services that are started together cannot both believe to have the port.
        listener.listen()
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise PersonError(f"cannot listen on {where}: {(error.strerror or str(error)).lower()}") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
