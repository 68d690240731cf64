"""The gateway, started as an operator starts it: `bartizan run` with a policy, one worker.

It does what it always does, which is more than the peers do here: one reading of the path, request id and
trace context, security headers, RateLimit headers, the access log as JSON, metrics by route, and of the token
also its type and its scope. It serves no route without a rate limit, so it counts the rate where the others
do nothing, too.
"""

from ipaddress import IPv4Address
from typing import Any, Final

from load.bench.peers.target import Guards, Site, Target
from load.bench.tokens import AUDIENCE, ISSUER, SCOPE
from tests.support.gateway import Gateway

LASTING_BURST: Final = 1_000


class Bartizan(Target):
    """A running gateway."""

    def __init__(self, site: Site, guards: Guards) -> None:
        """Start it and wait until it is ready."""
        files = {"denied.txt": denied(guards.denied)} if guards.denied else {}
        if guards.own_rules:
            files["own.conf"] = own_rules(guards.own_rules)
        self.gateway = Gateway(policy(site, guards), files=files)
        self._site = site

    @property
    def url(self) -> str:
        """The public listener."""
        return self.gateway.https.replace("localhost", "127.0.0.1")

    def worker_pids(self) -> list[int]:
        """Return the one worker."""
        return self.gateway.worker_pids()

    def stop(self) -> None:
        """Stop it; an unexpected error in its log is an error here."""
        self.gateway.stop()


def policy(site: Site, guards: Guards) -> dict[str, Any]:
    """Write the policy."""
    rate = {"limit": f"{guards.rate}/s", "burst": guards.burst}
    if guards.lasting:
        # A counter lives until its bucket is full again: of one an hour, an hour for each request.
        rate = {"limit": "1/h", "burst": LASTING_BURST}
    rules: dict[str, Any] = {}
    if guards.waf and guards.rules is not None:
        rules["source"] = str(guards.rules)
    if guards.own_rules:
        rules["after"] = ["own.conf"]
    addresses: dict[str, Any] = {"addresses": {"deny_files": ["denied.txt"]}} if guards.denied else {}
    return {
        "listen": {"http": "off"},
        "tls": {"certificate": str(site.tls.certificate), "key": str(site.tls.key)},
        "workers": 1,
        "trusted_proxies": ["127.0.0.1"] if guards.forwarded else [],
        "issuers": {
            "bench": {
                "issuer": ISSUER,
                "jwks": f"http://127.0.0.1:{site.backend}/jwks.json",
                "algorithms": ["RS512"],
            }
        },
        "upstreams": {"data": {"servers": [f"http://127.0.0.1:{site.backend}"]}},
        "defaults": {
            "body": "1MiB",
            "rate": rate,
            "concurrency": {"limit": guards.concurrency} if guards.limits else "off",
            **addresses,
            **({"waf": {"mode": "enforce", "paranoia": 1}} if guards.waf else {}),
        },
        **({"rules": rules} if rules else {}),
        "routes": [
            {
                "prefix": f"/service-{number}",
                "methods": ["GET", "POST"] if guards.waf else ["GET"],
                "upstream": "data",
                "auth": {"issuer": "bench", "audience": AUDIENCE, "scopes": [SCOPE]}
                if guards.token
                else "none",
            }
            for number in range(guards.routes)
        ],
    }


_FIRST: Final = int(IPv4Address("11.0.0.0"))


def denied(count: int) -> str:
    """List networks of different sizes, none next to another (they could be joined), none loopback."""
    return "".join(f"{IPv4Address(_FIRST + number * 512)}/{24 + number % 9}\n" for number in range(count))


# By turns what people write: a word anywhere, a pattern, words, a path, the shape of one argument.
_OWN_RULES: Final = (
    ("ARGS|ARGS_NAMES", "@contains zq{0}xv", "t:lowercase"),
    ("ARGS", r"@rx (?i)zq{0}\s*\(\s*['\x22]", "t:urlDecodeUni"),
    ("REQUEST_HEADERS:User-Agent", "@pm zq{0}bot zq{0}crawler", "t:none"),
    ("REQUEST_FILENAME", "@beginsWith /zq{0}/", "t:normalizePath"),
    ("REQUEST_URI", "@streq /zq{0}.php", "t:none"),
    ("ARGS:zq{0}", "!@rx ^[0-9]+$", "t:none"),
)


def own_rules(count: int) -> str:
    """Write rules, numbered from 1,000,000 on, that match nothing that is sent."""
    rules = []
    for number in range(count):
        target, operator, transformation = _OWN_RULES[number % len(_OWN_RULES)]
        asked = f'{target} "{operator}"'.format(number)
        rules.append(f"SecRule {asked} \"id:{1_000_000 + number},phase:2,deny,{transformation},msg:'own'\"\n")
    return "".join(rules)
