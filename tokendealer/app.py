"""The Quart application: views, and the one place where an exception becomes an answer."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import structlog
from quart import Quart, Response
from quart.sessions import NullSession, SessionInterface
from quart.wrappers.base import BaseRequestWebsocket
from quart_schema import Info, QuartSchema
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import MapAdapter

from tokendealer.connection import BODY_BYTES, NoWebSocket, TokenServiceRequest, WholeBodyConnection
from tokendealer.replies import error_reply
from tokendealer.rfc6749.client_authentication import secret_in_query
from tokendealer.rfc6749.errors import OAuthError, PublicError
from tokendealer.service import Service
from tokendealer.views import add_views, the_request

_HTTP_ERRORS = {
    404: PublicError.NOT_FOUND,
    405: PublicError.METHOD_NOT_ALLOWED,
    408: PublicError.REQUEST_TIMEOUT,
    413: PublicError.BODY_TOO_LARGE,
}


class _NoSessions(SessionInterface):
    """There are no cookies here."""

    async def open_session(self, *_: object) -> NullSession:
        return NullSession()


class _TokenService(Quart):
    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Route by the path alone: the Host header, which the client chooses, has no say."""
        if request is None:
            return None
        return self.url_map.bind(
            "localhost", url_scheme=request.scheme, default_method=request.method, path_info=request.path
        )


def create_app(service: Service) -> Quart:
    """Return the application that answers for a service."""
    app = _TokenService("tokendealer", static_folder=None, template_folder=None)
    app.request_class = TokenServiceRequest
    app.asgi_http_class = WholeBodyConnection
    app.asgi_websocket_class = NoWebSocket
    app.session_interface = _NoSessions()  # type: ignore[assignment]  # its annotation is its default
    # The connection has read the body and sends a bounded answer: nothing is left to wait for.
    app.config.update(MAX_CONTENT_LENGTH=BODY_BYTES, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
    # A path is right or it is not found; a redirect would repeat the Host header that the client chose.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    app.url_map.redirect_defaults = False
    QuartSchema(
        app,
        openapi_path="/openapi.json",
        swagger_ui_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
        info=Info(title="tokendealer", version=version("bartizan")),
    )
    # quart-schema converts what views return into models; here they return finished responses.
    del app.make_response
    add_views(app, service)
    _add_error_handlers(app)
    return app


def _add_error_handlers(app: Quart) -> None:
    log: Any = structlog.get_logger("tokendealer").bind()

    @app.before_request
    async def refuse_secrets_in_the_url() -> None:
        request = the_request()
        name = secret_in_query(request.query_string)
        if name is not None:
            raise OAuthError(PublicError.SECRET_IN_QUERY, f"{name} in the query: whoever reads a log has it")

    @app.errorhandler(OAuthError)
    async def refused(refusal: OAuthError) -> Response:
        request = the_request()
        tell = log.warning if refusal.public in _ALARMING else log.info
        tell(
            "request_refused",
            request_id=request.request_id,
            method=request.method,
            path=request.path,
            status=refusal.public.status,
            error=refusal.public.error,
            reason=refusal.reason,
            client_id=refusal.client_id,
        )
        return error_reply(refusal.public)

    @app.errorhandler(HTTPException)
    async def refused_by_http(error: HTTPException) -> Response:
        request = the_request()
        public = _HTTP_ERRORS.get(error.code or 400, PublicError.BAD_REQUEST)
        log.info(
            "request_refused",
            request_id=request.request_id,
            status=public.status,
            reason=type(error).__name__,
        )
        headers = {}
        if isinstance(error, MethodNotAllowed):
            headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        return error_reply(public, headers)

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        log.error("request_failed", request_id=the_request().request_id, exc_info=error)
        return error_reply(PublicError.SERVER_ERROR)


_ALARMING = frozenset({PublicError.SECRET_IN_QUERY, PublicError.UNAVAILABLE})
