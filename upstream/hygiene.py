"""What is done with every request before its view and with every response after it."""

import re
import time
import uuid
from urllib.parse import quote

import structlog
from quart import Quart, Response, g, request, websocket
from werkzeug.wrappers import Response as WerkzeugResponse

from upstream.problem import problem
from upstream.redirects import is_safe
from upstream.services import services

# Nothing that this service sends runs scripts, loads anything or may be framed, its HTML included.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Users are personal data, and what is shown depends on the token (RFC 9111 section 5.2.2.5).
    "Cache-Control": "no-store",
}

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_log = structlog.get_logger("upstream.requests")
_Response = Response | WerkzeugResponse


def install(app: Quart) -> None:
    """Put the steps in an application's way."""
    app.before_request(_begin_request)
    app.before_websocket(_begin_websocket)
    app.after_request(_finish)
    app.after_websocket(_finish_websocket)


async def _begin_request() -> None:
    _begin(request.headers.get("X-Request-Id", ""))


async def _begin_websocket() -> None:
    _begin(websocket.headers.get("X-Request-Id", ""))


def _begin(request_id: str) -> None:
    # The gateway gives each request an id; one that comes in any other form is not written into logs.
    g.request_id = request_id if _REQUEST_ID.fullmatch(request_id) else uuid.uuid4().hex
    g.started = time.monotonic()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


async def _finish(response: _Response) -> _Response:
    checked = _without_unsafe_redirect(response)
    _set_headers(checked)
    _log.info(
        "request",
        method=request.method,
        # Decoded, it may hold what a terminal takes for a command.
        path=quote(request.path),
        status=checked.status_code,
        milliseconds=round((time.monotonic() - g.started) * 1000, 1),
        client_id=g.caller.client_id if "caller" in g else None,
    )
    return checked


async def _finish_websocket(response: _Response | None) -> _Response | None:
    # A response stands here only if the handshake was refused.
    if response is not None:
        _set_headers(response)
    status = 101 if response is None else response.status_code
    _log.info("websocket", path=quote(websocket.path), status=status)
    return response


def _without_unsafe_redirect(response: _Response) -> _Response:
    if not 300 <= response.status_code < 400:
        return response
    locations = response.headers.getlist("Location")
    if len(locations) <= 1 and all(
        is_safe(location, services().settings.safe_redirects) for location in locations
    ):
        return response
    _log.warning("unsafe_redirect", locations=locations)
    # Raising here would break the hook, so the answer is replaced.
    return problem(403, "unsafe_redirect", "This link leads to a place that is not on the list of safe ones.")


def _set_headers(response: _Response) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
