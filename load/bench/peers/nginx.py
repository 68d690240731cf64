"""Plain nginx: the reverse proxy that the gateway is built on, and the base of all ratios.

It has what a reasonable operator's has, and what the gateway has, too: kept upstream connections over
HTTP/1.1, the usual X-headers set, an access log (in the combined format, buffered as the gateway's is), and
as many requests on a connection. In the scenarios with limits it counts with limit_req and limit_conn; those
with a token show it without one, as nginx can't verify tokens: what is there is the bare cost of forwarding
the same request.
"""

import os
from typing import Final

import psutil

from load.bench.peers.target import Guards, Site, Target
from load.bench.processes import Process
from load.bench.tls import GROUPS
from tests.support.ports import free_port

_LIMITS: Final = """
    limit_req_zone $binary_remote_addr zone=rate:10m rate={rate}r/s;
    limit_conn_zone $binary_remote_addr zone=concurrency:10m;
    limit_req zone=rate burst={burst} nodelay;
    limit_req_status 429;
    limit_conn concurrency {concurrency};
    limit_conn_status 429;
"""

_CONFIGURATION: Final = """
{modules}
daemon off;
{user}
worker_processes 1;
pcre_jit on;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log {folder}/access.log combined buffer=64k flush=1s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server_tokens off;
    keepalive_timeout 60s;
    keepalive_requests 10000;
    upstream data {{
        server 127.0.0.1:{backend};
        keepalive 32;
    }}
{http}
    server {{
        listen 127.0.0.1:{port} ssl http2 reuseport;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ecdh_curve {groups};
        ssl_session_cache shared:tls:10m;
        ssl_session_tickets off;
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_pass http://data;
        }}
    }}
}}
"""


class Nginx(Target):
    """A running nginx."""

    def __init__(self, site: Site, guards: Guards) -> None:
        """Start it and wait until it listens."""
        self._port = free_port()
        configuration = site.folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                user="user www-data;" if os.geteuid() == 0 else "",
                folder=site.folder,
                backend=site.backend,
                port=self._port,
                certificate=site.tls.certificate,
                key=site.tls.key,
                groups=":".join(GROUPS),
                modules=self.modules(),
                http=self.http(site, guards),
            ),
            encoding="utf-8",
        )
        self._process = Process(
            ["nginx", "-p", site.folder, "-e", "stderr", "-c", configuration], site.folder / "nginx.log"
        )
        self._process.wait_for_port(self._port)

    def modules(self) -> str:
        """Return the directives that load modules."""
        return ""

    def http(self, site: Site, guards: Guards) -> str:  # noqa: ARG002 (others that are built on it use the site)
        """Return further directives at http level."""
        # Where the others verify a token this one only forwards.
        if not guards.limits or guards.token:
            return ""
        return _LIMITS.format(rate=guards.rate, burst=guards.burst, concurrency=guards.concurrency)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self._port}"

    def worker_pids(self) -> list[int]:
        """Return the one worker."""
        return [child.pid for child in psutil.Process(self._process.pid).children()]

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()
