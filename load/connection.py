"""One simulated client's connection to the gateway.

It keeps alive, says exactly what it is told, and reports to locust. The usual clients tidy up what they send
(dot segments, doubled headers), which is what an attacker would not do. Each has a source address of its own,
all of them loopback, because the gateway limits by address.
"""

import http.client
import json
import ssl
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from locust.env import Environment

from load.target import Target

TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON value."""
        return json.loads(self.body)


class UnexpectedError(Exception):
    """The gateway did what it must not; locust counts it as a failure."""


class Connection:
    """A kept-alive HTTPS connection from one source address."""

    def __init__(self, environment: Environment, target: Target, source: str) -> None:
        self._environment = environment
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1",
            target.port,
            timeout=TIMEOUT,
            context=ssl.create_default_context(cafile=target.ca),
            source_address=(source, 0),
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(
        self,
        name: str,
        method: str,
        path: str,
        *,
        expect: Collection[int],
        headers: Collection[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Answer | None:
        """Send one request and report it.

        Args:
            name: under which locust shows it; the answer's status is added where several are expected.
            method: the method.
            path: the request target, sent as it is.
            expect: the statuses that are right.
            headers: sent as they are, in order; Host, and a length where there is a body, are added.
            body: the body.

        Returns:
            The answer, None where the request failed or the status was none of those expected.
        """
        started, moment = time.perf_counter(), time.time()
        answer: Answer | None = None
        error: Exception | None = None
        try:
            answer = self._send(method, path, headers, body)
            if answer.status not in expect:
                error = UnexpectedError(f"{answer.status} instead of {' or '.join(map(str, expect))}")
        except (OSError, http.client.HTTPException) as failure:
            error = failure
            self._connection.close()
        if answer is not None and error is None and len(expect) > 1:
            name = f"{name} → {answer.status}"
        self._report(
            request_type=method,
            name=name,
            response_time=(time.perf_counter() - started) * 1000,
            response_length=len(answer.body) if answer else 0,
            response=answer,
            exception=error,
            start_time=moment,
            url=path,
        )
        return answer if error is None else None

    def fail(self, name: str, what: str) -> None:
        """Report that an answer of the right status was not right."""
        self._report(
            request_type="CHECK",
            name=name,
            response_time=0,
            response_length=0,
            response=None,
            exception=UnexpectedError(what),
        )

    def _report(self, **fields: object) -> None:
        """Tell locust of a request, which is an untyped call."""
        self._environment.events.request.fire(context={}, **fields)  # type: ignore[no-untyped-call]

    def _send(
        self, method: str, path: str, headers: Collection[tuple[str, str]], body: bytes | None
    ) -> Answer:
        connection = self._connection
        connection.putrequest(method, path, skip_accept_encoding=True)
        for header, value in headers:
            connection.putheader(header, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())


def bearer(token: str) -> tuple[str, str]:
    """Return the header with a token."""
    return ("Authorization", f"Bearer {token}")


def json_body(value: Mapping[str, Any]) -> bytes:
    """Return a JSON body."""
    return json.dumps(value).encode()
