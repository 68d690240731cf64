"""Envoy with one worker thread: its local rate limit, its circuit breaker, jwt_authn with the keys in a file.

The rate is counted for each client address (a bucket a value, which Envoy calls dynamic descriptors), as the
others do; what is under way at once it can bound for a cluster only. jwt_authn verifies signature, issuer,
audience and times. It is there twice: as it comes, and with its token cache, which remembers verified tokens.
Envoy sends what the others are set up to send by itself (X-Forwarded-For, X-Forwarded-Proto) and a request
id; X-Real-IP is added. The access log is a file in the default format, which Envoy buffers. It runs as the
documentation of its edge use has it, but for the bounds of buffers, without hot restart and without an admin
port.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from load.bench.peers.target import Guards, Site, Target
from load.bench.processes import Process
from load.bench.tls import ALPN, GROUPS
from load.bench.tokens import AUDIENCE, ISSUER
from tests.support.ports import free_port

COMMAND: Final = Path(sys.executable).with_name("envoy")

# As many clients as the gateway has room for would be more; one is all that comes here.
_CLIENTS: Final = 10_000

_HTTP: Final = "type.googleapis.com/envoy.extensions.filters.http"
_ALWAYS: Final = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}


class Envoy(Target):
    """A running Envoy."""

    cache = False

    def __init__(self, site: Site, guards: Guards) -> None:
        """Start it and wait until it listens."""
        self._port = free_port()
        configuration = site.folder / "envoy.json"
        configuration.write_text(
            json.dumps(bootstrap(site, guards, self._port, cache=self.cache), indent=1), encoding="utf-8"
        )
        options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
        self._process = Process(
            [COMMAND, "--config-path", configuration, *options], site.folder / "envoy.log"
        )
        self._process.wait_for_port(self._port)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self._port}"

    def worker_pids(self) -> list[int]:
        """Return the one process, whose worker is a thread beside few that rest."""
        return [self._process.pid]

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()


class EnvoyWithCache(Envoy):
    """The same with its cache of verified tokens, at the default size of 100."""

    cache = True


def bootstrap(site: Site, guards: Guards, port: int, *, cache: bool) -> dict[str, Any]:
    """Write the configuration."""
    filters = [
        *([_rate_limit(guards)] if guards.limits else []),
        *([_jwt(site, cache=cache)] if guards.token else []),
        _filter("router", {"@type": f"{_HTTP}.router.v3.Router"}),
    ]
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "public",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "http_filters": filters,
        "route_config": {"virtual_hosts": [_virtual_host(guards)]},
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": str(site.folder / "access.log"),
                },
            }
        ],
    }
    chain = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
        "transport_socket": _tls(site),
    }
    return {
        "static_resources": {
            "listeners": [{"name": "public", "address": _address(port), "filter_chains": [chain]}],
            "clusters": [_cluster(site, guards)],
        }
    }


def _tls(site: Site) -> dict[str, Any]:
    certificate = {"filename": str(site.tls.certificate)}
    context = {
        "tls_certificates": [
            {"certificate_chain": certificate, "private_key": {"filename": str(site.tls.key)}}
        ],
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "tls_maximum_protocol_version": "TLSv1_3",
            "ecdh_curves": list(GROUPS),
        },
        "alpn_protocols": list(ALPN),
    }
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": kind,
            "common_tls_context": context,
            "disable_stateless_session_resumption": True,
        },
    }


def _virtual_host(guards: Guards) -> dict[str, Any]:
    real_ip = {"key": "X-Real-IP", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
    host: dict[str, Any] = {
        "name": "data",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "data", "timeout": "60s"}}],
        "request_headers_to_add": [{"header": real_ip, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
    }
    if guards.limits:
        host["rate_limits"] = [{"actions": [{"remote_address": {}}]}]
    return host


def _cluster(site: Site, guards: Guards) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(site.backend)}}
    cluster: dict[str, Any] = {
        "name": "data",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "data", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if guards.limits:
        bound = {"max_requests": guards.concurrency, "max_pending_requests": guards.concurrency}
        cluster["circuit_breakers"] = {"thresholds": [bound]}
    return cluster


def _rate_limit(guards: Guards) -> dict[str, Any]:
    bucket = {"max_tokens": guards.burst, "tokens_per_fill": guards.rate, "fill_interval": "1s"}
    return _filter(
        "local_ratelimit",
        {
            "@type": f"{_HTTP}.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "rate",
            "token_bucket": bucket,
            "filter_enabled": _ALWAYS,
            "filter_enforced": _ALWAYS,
            # No value: a bucket of its own for each that comes.
            "descriptors": [{"entries": [{"key": "remote_address"}], "token_bucket": bucket}],
            "always_consume_default_token_bucket": False,
            "max_dynamic_descriptors": _CLIENTS,
        },
    )


def _jwt(site: Site, *, cache: bool) -> dict[str, Any]:
    provider: dict[str, Any] = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"filename": str(site.tokens.keys)},
        "forward": True,
    }
    if cache:
        provider["jwt_cache_config"] = {}
    return _filter(
        "jwt_authn",
        {
            "@type": f"{_HTTP}.jwt_authn.v3.JwtAuthentication",
            "providers": {"bench": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
        },
    )


def _filter(name: str, configuration: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"envoy.filters.http.{name}", "typed_config": configuration}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
