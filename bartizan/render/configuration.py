"""nginx.conf."""

import resource
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bartizan.layout import Layout
from bartizan.policy import Issuer, Listener, Policy, Upstream
from bartizan.render import writing
from bartizan.render.classes import CONNECTIONS_OF_AN_ADDRESS, RouteClass

# Debian's package ca-certificates.
SYSTEM_CA: Final = "/etc/ssl/certs/ca-certificates.crt"
OPEN_FILES: Final = 65536
CONNECTIONS: Final = 16384
_HTTP2_DIRECTIVE: Final = (1, 25, 1)


def configuration(
    policy: Policy, layout: Layout, generation_dir: Path, classes: tuple[RouteClass, ...], front: str | None
) -> str:
    """Return nginx.conf.

    Raises:
        RenderError: some value can't stand in it.
    """
    environment = Environment(
        loader=FileSystemLoader(layout.openresty),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Not HTML. What takes escaping's place is finalize, through which every expression goes.
        autoescape=False,  # noqa: S701  # nosec B701
        finalize=writing.finalize,
    )
    for write in (writing.word, writing.words, writing.duration, writing.lua_string):
        environment.filters[write.__name__] = write
    return environment.get_template("nginx.conf.j2").render(
        _context(policy, layout, generation_dir, classes, front)
    )


def _context(
    policy: Policy, layout: Layout, generation_dir: Path, classes: tuple[RouteClass, ...], front: str | None
) -> dict[str, Any]:
    upstreams = {name: _upstream(name, upstream) for name, upstream in policy.upstreams.items()}
    open_files = _open_files()
    return {
        "modules": [str(module) for module in layout.nginx.modules],
        "worker_user": layout.worker_user,
        "workers": policy.workers,
        "open_files": open_files,
        # A request can need two, the client's and the upstream's, and three files: its body is the third.
        "connections": min(CONNECTIONS, open_files * 2 // 3),
        "pid_file": str(layout.pid_file),
        "work": str(layout.work),
        "lua": str(layout.lua),
        "settings": str(generation_dir / "edge.json"),
        "access_log": str(layout.access_log),
        "audit_log": str(layout.audit_log),
        "trusted_proxies": policy.trusted_proxies,
        "origin": _origin(policy.public_origin),
        "listeners": list(_listeners(policy, layout)),
        "http2_directive": _version(layout) >= _HTTP2_DIRECTIVE,
        "tls": _tls(policy, layout),
        "acme": str(policy.acme or layout.acme),
        "upstreams": list(upstreams.values()),
        "classes": [
            {
                "name": f"c{number}",
                "body": found.body,
                "cors": found.cors,
                "waits": found.waits,
                "window": found.window,
                "counted": found.counted,
                "front": f"c{number}" == front,
                "upstream": upstreams[found.upstream],
            }
            for number, found in enumerate(classes, 1)
        ],
        "front": front is not None,
        "connections_of_an_address": CONNECTIONS_OF_AN_ADDRESS,
        "operator": policy.listen.operator.address,
        "fetch_socket": str(layout.fetch_socket),
        "issuers": [_issuer(name, issuer) for name, issuer in policy.issuers.items()],
    }


def _version(layout: Layout) -> tuple[int, ...]:
    return tuple(int(part) for part in layout.nginx.version.split("."))


def _open_files() -> int:
    """Return how many files a worker may open; in a container not even root goes beyond the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)


def _origin(origin: str) -> dict[str, str]:
    parts = urlsplit(origin)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return {"scheme": parts.scheme, "authority": parts.netloc, "port": str(port)}


def _listeners(policy: Policy, layout: Layout) -> list[dict[str, Any]]:
    found = []
    if policy.listen.https is not None:
        options = ("ssl",) if _version(layout) >= _HTTP2_DIRECTIVE else ("ssl", "http2")
        found.append(_listener("https", policy, policy.listen.https, options, redirect=False))
    if policy.listen.http is not None:
        found.append(_listener("http", policy, policy.listen.http, (), redirect=policy.listen.http.redirect))
    return found


def _listener(
    name: str, policy: Policy, listener: Listener, options: tuple[str, ...], *, redirect: bool
) -> dict[str, Any]:
    if listener.proxy_protocol:
        options = (*options, "proxy_protocol")
    return {
        "name": name,
        "redirect": redirect,
        "proxy_protocol": listener.proxy_protocol,
        "options": options,
        "addresses": [
            f"[{address}]:{listener.port}" if ":" in address else f"{address}:{listener.port}"
            for address in policy.listen.addresses
        ],
    }


def _tls(policy: Policy, layout: Layout) -> dict[str, str]:
    if policy.tls is not None:
        return {"certificate": str(policy.tls.certificate), "key": str(policy.tls.key)}
    return {"certificate": str(layout.server_certificate), "key": str(layout.server_key)}


def _upstream(name: str, upstream: Upstream) -> dict[str, Any]:
    servers = [urlsplit(server) for server in upstream.servers]
    return {
        "name": name,
        "scheme": upstream.scheme,
        "servers": [
            part.netloc if part.port else f"{part.netloc}:{443 if upstream.scheme == 'https' else 80}"
            for part in servers
        ],
        "connect_timeout": upstream.connect_timeout,
        "send_timeout": upstream.send_timeout,
        "read_timeout": upstream.read_timeout,
        "max_fails": upstream.max_fails,
        "fail_timeout": round(upstream.fail_timeout),  # nginx takes whole seconds here
        "keepalive": upstream.keepalive,
        "ca": str(upstream.ca or SYSTEM_CA),
        # Several https servers have one name, given or their own: bartizan/policy/checks.py sees to it.
        "server_name": upstream.server_name or str(servers[0].hostname),
    }


def _issuer(name: str, issuer: Issuer) -> dict[str, str]:
    parts = urlsplit(issuer.jwks)
    return {
        "name": name,
        "url": issuer.jwks,
        "scheme": parts.scheme,
        "host": str(parts.hostname),
        "ca": str(issuer.ca or SYSTEM_CA),
    }
