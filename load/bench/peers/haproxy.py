"""HAProxy, one thread: a stick table for rate and concurrency by address, jwt_verify for the token.

The token's rules are those of its documentation: the algorithm is compared before the signature is verified,
then issuer, audience and expiry. It has no memory of tokens, so each request pays for a signature. The log is
the usual httplog, written to a file through standard output, which is the cheapest way that HAProxy has to
keep one: it does not write files itself, and syslog would cost the same datagram and a second process.
"""

from typing import Final

from load.bench.peers.target import Guards, Site, Target
from load.bench.processes import Process
from load.bench.tls import ALPN, GROUPS
from load.bench.tokens import AUDIENCE, ISSUER
from tests.support.ports import free_port

_LIMITS: Final = """
    stick-table type ip size 1m expire 10s store http_req_rate(1s),conn_cur
    http-request track-sc0 src
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {rate} }}
    http-request deny deny_status 429 if {{ sc_conn_cur(0) gt {concurrency} }}
"""

_TOKEN: Final = """
    http-request set-var(txn.bearer) http_auth_bearer
    http-request deny deny_status 401 unless {{ var(txn.bearer) -m found }}
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
    http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS512 }}
    http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{public}") -m int 1 }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
"""

_CONFIGURATION: Final = """
global
    nbthread 1
    maxconn 4096
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    log stdout format raw daemon

defaults
    mode http
    log global
    option httplog
    option forwardfor
    http-reuse always
    timeout connect 2s
    timeout client 60s
    timeout server 60s

frontend public
    bind 127.0.0.1:{port} ssl crt {certificate} curves {groups} alpn {alpn}
{limits}{token}
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Proto https
    default_backend data

backend data
    server data 127.0.0.1:{backend}
"""


class Haproxy(Target):
    """A running HAProxy."""

    def __init__(self, site: Site, guards: Guards) -> None:
        """Start it and wait until it listens."""
        self._port = free_port()
        limits = _LIMITS.format(rate=guards.rate, concurrency=guards.concurrency)
        token = _TOKEN.format(issuer=ISSUER, audience=AUDIENCE, public=site.tokens.public)
        configuration = site.folder / "haproxy.cfg"
        configuration.write_text(
            _CONFIGURATION.format(
                port=self._port,
                certificate=site.tls.both,
                groups=":".join(GROUPS),
                alpn=",".join(ALPN),
                backend=site.backend,
                limits=limits if guards.limits else "",
                token=token if guards.token else "",
            ),
            encoding="utf-8",
        )
        self._process = Process(
            ["haproxy", "-db", "-f", configuration],
            site.folder / "haproxy.log",
            output=site.folder / "access.log",
        )
        self._process.wait_for_port(self._port)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self._port}"

    def worker_pids(self) -> list[int]:
        """Return the one process."""
        return [self._process.pid]

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()
