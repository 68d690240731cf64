"""Requests that must be refused before any guard is asked: sent as bytes, and looked at from every side.

A refusal is seen by the client, by the service behind the gateway (which must see nothing), and in both logs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from tests.support.backend import Backend, Request
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection, request
from tests.support.raw import count_responses, exchange, status_of
from tests.support.wire import fields_of, port_of

CASES: Final = Path(__file__).parents[1] / "cases"

Case = Mapping[str, Any]

# What every answer of the gateway's own carries; a bare field name and what its value must match.
ALWAYS: Final = {
    "x-request-id": r"[0-9a-f]{32}",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "strict-origin-when-cross-origin",
    "content-type": r"application/problem\+json",
    "cache-control": "no-store",
    "content-security-policy": r"default-src 'none'; frame-ancestors 'none'",
}
# nginx says at its level "error" what clients did wrong with a body; for Gateway.expect_error.
CLIENTS_FAULT: Final = r"client (intended to send too large|sent invalid chunked) "
# All that a client may learn of a refusal (RFC 9457, and two of our own).
MEMBERS: Final = {"type", "title", "status", "detail", "instance", "code", "request_id"}


def load(name: str) -> dict[str, Case]:
    """Return a file of cases by their names, which are unique."""
    cases = YAML(typ="safe", pure=True).load(CASES / name)
    named = {case["name"]: case for case in cases}
    assert len(named) == len(cases), f"{name} has two cases of one name"
    return named


def policy(backend: Backend, **route: Any) -> dict[str, Any]:
    """Return a policy of one public route that no limit keeps from answering."""
    methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    return {
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {
            "body": "64KiB",
            "rate": {"limit": "1000000/s", "burst": 1000000},
            "concurrency": {"limit": 10000, "by": "address"},
        },
        "routes": [{"prefix": "/", "methods": methods, "upstream": "data", "auth": "none", **route}],
    }


def text(head: Iterable[str], body: str = "") -> bytes:
    """Return the bytes of an HTTP/1 request; each character of a case's strings is one byte."""
    return ("\r\n".join([*head, "", ""]) + body).encode("latin-1")


@dataclass(frozen=True)
class Outcome:
    """What came of one request.

    Attributes:
        request_id: what the client was given; where it got no answer, what the audit log has.
        status: of the answer; None if there was none.
        fields: the answer's header fields, names in lower case; none for HTTP/0.9.
        body: of the answer.
        reset: whether the HTTP/2 stream was reset.
        forwarded: what reached the service.
        audit: the audit events of this request.
        access: the lines of the access log of this request.
    """

    request_id: str
    status: int | None
    fields: tuple[tuple[str, str], ...]
    body: bytes
    reset: bool
    forwarded: tuple[Request, ...]
    audit: tuple[dict[str, Any], ...] = ()
    access: tuple[dict[str, Any], ...] = ()


class Wire:
    """Sends requests to a gateway, one after the other, and says what came of each."""

    def __init__(self, gateway: Gateway, backend: Backend) -> None:
        self.gateway = gateway
        self.backend = backend
        self.port = port_of(gateway)
        self._told: set[str] = set()

    def http1(self, data: bytes, *, tls: bool = True, seconds: float = 20) -> Outcome:
        """Send bytes to the https listener, over TLS unless told otherwise."""
        before, events = len(self.backend.requests), len(self.gateway.audit())
        context = self.gateway.context() if tls else None
        answer = exchange(self.port, data, tls=context, seconds=seconds)
        new = tuple(self.backend.requests[before:])
        if not answer or answer.startswith(b"{"):  # HTTP/0.9 answers are a body and no more
            return Outcome(self._last_id(events), None, (), answer, reset=False, forwarded=new)
        assert count_responses(answer) == 1, f"not one whole answer: {answer!r}"
        fields, body = fields_of(answer), answer.partition(b"\r\n\r\n")[2]
        return Outcome(self._id_of(fields), status_of(answer), fields, body, reset=False, forwarded=new)

    def http2(self, case: Case) -> Outcome:
        """Send a request over HTTP/2, on a connection of its own.

        Args:
            case: `set` replaces pseudo-header fields, `without` leaves some out, `add` appends fields, `body`
                is sent as it is.
        """
        before, events = len(self.backend.requests), len(self.gateway.audit())
        pseudo = {name.decode(): value.decode("latin-1") for name, value in request("/a")}
        pseudo |= case.get("set", {})
        for name in case.get("without", []):
            del pseudo[name]
        fields = [*pseudo.items(), *((name, value) for name, value in case.get("add", []))]
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        body = case["body"].encode("latin-1") if "body" in case else None
        with Connection(self.port, self.gateway.context()) as connection:
            answer = connection.exchange(encoded, body)
        fields_back = tuple(answer.lines)
        return Outcome(
            self._id_of(fields_back) if answer.status else self._last_id(events),
            answer.status,
            fields_back,
            answer.body,
            reset=answer.reset is not None or (answer.status is None and connection.ended),
            forwarded=tuple(self.backend.requests[before:]),
        )

    def _id_of(self, fields: tuple[tuple[str, str], ...]) -> str:
        ids = [value for name, value in fields if name == "x-request-id"]
        assert len(ids) == 1, f"{ids} in {fields}"
        self._told.update(ids)
        return ids[0]

    def _last_id(self, before: int) -> str:
        """Return the id of the one request that brought an audit event since there were so many."""

        def new() -> set[str]:
            # The event of an answered request may come late, behind the count.
            return {str(event["request_id"]) for event in self.gateway.audit()[before:]} - self._told

        ids = wait_for(new)
        assert len(ids) == 1, ids
        self._told |= ids
        return ids.pop()

    def with_events(self, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
        """Return outcomes together with what the logs say of them."""
        ids = {outcome.request_id for outcome in outcomes.values()}
        wait_for(lambda: ids <= {line["request_id"] for line in self.gateway.access()})
        audit, access = self.gateway.audit(), self.gateway.access()
        return {
            name: replace(
                outcome,
                audit=tuple(event for event in audit if event["request_id"] == outcome.request_id),
                access=tuple(line for line in access if line["request_id"] == outcome.request_id),
            )
            for name, outcome in outcomes.items()
        }


def assert_says_no_more_than_it_should(outcome: Outcome) -> dict[str, Any]:
    """Check the answer of a refusal as a client sees it, and return the problem details."""
    problem: dict[str, Any] = json.loads(outcome.body)
    assert set(problem) <= MEMBERS
    assert problem["request_id"] == outcome.request_id
    assert b"<" not in outcome.body, "a page"
    for word in ("nginx", "lua", "rule", "guard", "openresty", "upstream"):
        assert word not in outcome.body.decode().lower()
    if outcome.fields:
        assert problem["status"] == outcome.status
        for name, pattern in ALWAYS.items():
            values = [value for key, value in outcome.fields if key == name]
            assert len(values) == 1, f"{name}: {values}"
            assert re.fullmatch(pattern, values[0]), f"{name}: {values[0]}"
    return problem


def assert_logged_once(outcome: Outcome, *, status: int, code: str, decision: str = "refused") -> None:
    """Check that both logs have a refusal, each once, and that the client did not get the reason."""
    assert len(outcome.audit) == 1, outcome.audit
    assert len(outcome.access) == 1, outcome.access
    event, line = outcome.audit[0], outcome.access[0]
    assert (event["decision"], event["status"], event["code"]) == (decision, status, code)
    assert event["mode"] == "enforce"
    assert event["reason"]
    assert event["reason"].encode() not in outcome.body
    assert (line["status"], line["verdict"]) == (status, code)
    assert event["address"] == line["address"] == "127.0.0.1"


def assert_refused(outcome: Outcome, *, status: int, code: str) -> dict[str, Any]:
    """Check a refusal from every side, and return the problem details."""
    assert outcome.forwarded == (), "the service saw it"
    assert outcome.status == status
    problem = assert_says_no_more_than_it_should(outcome)
    assert problem["code"] == code
    assert_logged_once(outcome, status=status, code=code)
    return problem


def assert_passed(outcome: Outcome, target: str | None = None) -> Request:
    """Check that a request came through as one, and return what the service saw."""
    assert outcome.status == 200, outcome
    assert len(outcome.forwarded) == 1
    seen = outcome.forwarded[0]
    if target is not None:
        assert seen.target == target
    assert outcome.audit == ()
    assert len(outcome.access) == 1
    assert (outcome.access[0]["status"], outcome.access[0]["verdict"]) == (200, "passed")
    return seen
