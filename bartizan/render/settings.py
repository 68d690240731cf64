"""edge.json: what the edge reads at its start (lua/bartizan/settings.lua)."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from bartizan.layout import Layout
from bartizan.policy import (
    Addresses,
    Concurrency,
    Cors,
    Guard,
    Issuer,
    Policy,
    Rate,
    ResolvedRoute,
    Waf,
)
from bartizan.policy.resolved import Settings
from bartizan.ranges import RangesError, compile_ranges
from bartizan.render.classes import RouteClass, class_of, waits, window
from bartizan.render.plans import compile_plans, rule_settings
from bartizan.render.writing import RenderError
from bartizan.rules.settings import RuleSettings

# settings.lua has the same number: an edge never reads what another release wrote.
FORMAT: Final = 1


def settings(
    policy: Policy,
    layout: Layout,
    generation_dir: Path,
    routes: tuple[ResolvedRoute, ...],
    classes: dict[RouteClass, str],
    front: str | None,
) -> str:
    """Return edge.json, and write the address ranges that it names beside it.

    Raises:
        RenderError: an address list or the certificate can't be read.
        BartizanError: the rules can't be used.
    """
    rules = compile_plans(policy, layout, routes)
    plans = _Plans(generation_dir, rules)
    listed = [_route(route, policy, plans, classes[class_of(route)]) for route in routes]
    http = policy.listen.http
    document = {
        "format": FORMAT,
        "version": version("bartizan"),
        "generation": generation_dir.name,
        "origin": policy.public_origin,
        "http_redirect": http is not None and http.redirect,
        "ports": {
            name: listener.port
            for name, listener in (("https", policy.listen.https), ("http", http))
            if listener is not None
        },
        "front": front,
        "trusts_proxies": bool(policy.trusted_proxies),
        "fetch_socket": str(layout.fetch_socket),
        "certificate": _certificate(policy, layout),
        "issuers": {name: _issuer(name, issuer, layout) for name, issuer in policy.issuers.items()},
        "inspect_refused": _of_the_defaults(policy, rules),
        "plans": plans.documents,
        "routes": listed,
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _of_the_defaults(policy: Policy, rules: dict[RuleSettings, Path]) -> str | None:
    """Return the plan for requests that no route takes, which are inspected for the audit log alone."""
    waf = policy.defaults.waf
    folder = None if waf is None or waf.mode == "off" else rules.get(rule_settings(waf))
    return None if folder is None else str(folder)


class _Plans:
    """The plans of all routes; routes with equal guards share one, and equal lists share their files."""

    def __init__(self, folder: Path, rules: dict[RuleSettings, Path]) -> None:
        self.documents: list[list[dict[str, Any]]] = []
        self._folder = folder
        self._rules = rules
        self._numbers: dict[tuple[Guard, ...], int] = {}
        self._ranges: dict[tuple[tuple[str, ...], tuple[Path, ...]], str] = {}

    def number(self, plan: tuple[Guard, ...]) -> int:
        key = tuple(Guard(guard.name, guard.settings, "route") for guard in plan)
        if key not in self._numbers:
            self._numbers[key] = len(self.documents)
            self.documents.append(
                [
                    {"guard": guard.name, "mode": guard.mode, "settings": self._settings(guard.settings)}
                    for guard in plan
                ]
            )
        return self._numbers[key]

    def _settings(self, found: Settings) -> dict[str, Any]:
        if isinstance(found, Addresses):
            return {
                "allow": self._compiled(found.allow, found.allow_files),
                "deny": self._compiled(found.deny, found.deny_files),
            }
        if isinstance(found, Rate):
            return {
                "limit": found.limit.count,
                "period": found.limit.period,
                "burst": found.burst,
                "by": found.by,
                "excess": found.excess,
            }
        if isinstance(found, Concurrency):
            return {
                "limit": found.limit,
                "by": found.by,
                "wait": found.wait,
                "wait_time": found.wait_time,
            }
        if isinstance(found, Waf):
            return {
                "plan": str(self._rules[rule_settings(found)]),
                "window": found.window,
                "incomplete": found.incomplete,
            }
        return {"issuer": found.issuer, "audience": found.audience, "scopes": list(found.scopes)}

    def _compiled(self, cidrs: tuple[str, ...], files: tuple[Path, ...]) -> str | None:
        if not cidrs and not files:
            return None
        if (cidrs, files) not in self._ranges:
            path = self._folder / f"addresses-{len(self._ranges) + 1}.ranges"
            try:
                compile_ranges(cidrs, files, path)
            except RangesError as error:
                raise RenderError(str(error)) from error
            self._ranges[cidrs, files] = str(path)
        return self._ranges[cidrs, files]


def _route(route: ResolvedRoute, policy: Policy, plans: _Plans, name: str) -> dict[str, Any]:
    return {
        "key": route.key,
        "name": route.name,
        "hosts": list(route.hosts),
        "match": route.match,
        "path": route.path,
        "methods": list(route.methods),
        "class": name,
        "waits": waits(route),
        "reads_body": window(route) > 0,
        "upstream": route.upstream,
        "scheme": policy.upstreams[route.upstream].scheme,
        "plan": plans.number(route.plan),
        "cors": _cors(route.cors),
    }


def _cors(cors: Cors | None) -> dict[str, Any] | None:
    if cors is None:
        return None
    return {
        "origins": list(cors.origins),
        "methods": list(cors.methods),
        "headers": list(cors.headers),
        "expose": list(cors.expose),
        "credentials": cors.credentials,
        "max_age": round(cors.max_age),
    }


def _issuer(name: str, issuer: Issuer, layout: Layout) -> dict[str, Any]:
    return {
        "issuer": issuer.issuer,
        "jwks": issuer.jwks,
        "algorithms": list(issuer.algorithms),
        "types": list(issuer.types),
        "skew": issuer.skew,
        "fetch_path": f"/issuer/{name}",
        "remember_file": str(layout.keys / f"{name}.json"),
    }


def _certificate(policy: Policy, layout: Layout) -> dict[str, Any] | None:
    """Return when the certificate that clients see ends, for the metrics."""
    if policy.listen.https is None:
        return None
    path = policy.tls.certificate if policy.tls is not None else layout.server_certificate
    try:
        # A chain begins with the certificate itself (nginx's rule, and RFC 8446 section 4.4.2).
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise RenderError(f"{path}: the certificate can't be read: {why}") from error
    except ValueError as error:
        raise RenderError(f"{path}: not a certificate in PEM form") from error
    return {
        "not_after": int(certificate.not_valid_after_utc.timestamp()),
        "subject": certificate.subject.rfc4514_string(),
    }
