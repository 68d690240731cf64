"""The gateway under test: `bartizan run` with one route for everything, no limits, observing."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from bartizan.policy.base import Method
from tests.conformance import overrides
from tests.conformance.engines.engine import Engine, setup
from tests.conformance.judge import Match
from tests.conformance.overrides import Override
from tests.conformance.suites import Suite
from tests.support.gateway import ROOT, Gateway, wait_for
from tests.support.raw import exchange

_FIELD: Final = re.compile(r"\b(REQUEST_HEADERS:)([a-z0-9-]+)")
# Always in the same place, so that what was compiled with it is found again.
SETUPS: Final = ROOT / "build" / "conformance"
# From 127.0.0.1, where no stage comes from, behind all of them: one worker writes its events in order.
_LAST: Final = (
    b"GET /?last=%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
)


class GatewayEngine(Engine):
    """A running gateway."""

    def __init__(self, suite: Suite, backend: int) -> None:
        """Start it.

        Args:
            suite: whose rules it has.
            backend: the port of the service behind it.
        """
        self._suite = suite
        SETUPS.mkdir(parents=True, exist_ok=True)
        own = SETUPS / f"setup-{suite.crs}.conf"
        own.write_text(setup(suite.crs), encoding="utf-8")
        self._gateway = Gateway(policy(suite, own, backend))
        self.port = int(self._gateway.http.rpartition(":")[2])

    def matches(self) -> Mapping[str, tuple[list[Match], list[str]]]:
        """Return the rules and codes of the audit events by address, once all of them are written."""
        exchange(self.port, _LAST)
        wait_for(lambda: any(event["address"] == "127.0.0.1" for event in self._gateway.audit()))
        return read_events(self._gateway.audit())

    def overrides(self) -> Mapping[str, Override]:
        """Return this project's own."""
        return overrides.own(self._suite.crs)

    def stop(self) -> None:
        """Stop it; an unexpected error in its log is an error here."""
        self._gateway.stop()


def policy(suite: Suite, own: Path, backend: int) -> dict[str, Any]:
    """Return the policy: everything to one service, looked at by all rules, and nothing refused by them."""
    source = {} if suite.rules is None else {"source": str(suite.rules)}
    return {
        "listen": {"https": "off", "http": {"redirect": False}},
        "workers": 1,
        "upstreams": {"service": {"servers": [f"http://127.0.0.1:{backend}"]}},
        "rules": {**source, "before": [str(own)]},
        "defaults": {
            "body": "16MiB",
            "rate": {"limit": "1000000/s", "burst": 1000000},
            "waf": {"mode": "observe", "paranoia": 4, "window": "1MiB", "incomplete": "pass"},
        },
        "routes": [
            {
                "prefix": "/",
                "methods": list(get_args(Method)),
                "upstream": "service",
                "auth": "none",
            }
        ],
    }


def read_events(events: Iterable[Mapping[str, Any]]) -> dict[str, tuple[list[Match], list[str]]]:
    """Return the rules that matched, and what else was said, by the client's address."""
    found: dict[str, tuple[list[Match], list[str]]] = defaultdict(lambda: ([], []))
    for event in events:
        matches, told = found[event["address"]]
        # What the edge refuses by itself is looked at, too, and then part of its own event.
        if "waf" in event:
            matches += [
                Match(match["rule"], match["message"], _as_sent(match["data"]))
                for match in event["waf"]["matches"]
            ]
        if event["guard"] != "waf" or event["decision"] == "failed":
            told.append(f"{event['guard']}: {event['code']}: {event['reason']}")
    return dict(found)


def _as_sent(data: str) -> str:
    """Write names of header fields as the tests send them.

    They have no case (RFC 9110 section 5.1), and the gateway writes them in lower case.
    """
    return _FIELD.sub(lambda found: found[1] + found[2].title(), data)
