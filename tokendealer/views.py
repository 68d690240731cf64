"""The endpoints: what HTTP hands in goes to the protocol modules, what they return goes out."""

from __future__ import annotations

from typing import Any, cast

import structlog
from quart import Quart, Response
from quart.globals import request_ctx
from quart_schema import DataSource, document_request, document_response

from tokendealer.connection import TokenServiceRequest
from tokendealer.openapi import (
    Claims,
    ErrorReply,
    Health,
    JwkSetDocument,
    MetadataDocument,
    TokenReply,
    TokenRequest,
    VerifyRequest,
)
from tokendealer.replies import json_reply, not_modified, public_reply, to_json
from tokendealer.rfc6749 import token_endpoint
from tokendealer.rfc6749.form import Form, read_form
from tokendealer.rfc7517 import MAX_AGE, MEDIA_TYPE
from tokendealer.rfc8414 import JWKS_PATH, METADATA_PATH, OAUTH_PATH, metadata
from tokendealer.service import Service

VERIFY_PATH = "/verify_token"
HEALTH_PATH = "/healthz"

_VERIFY_PARAMETERS = frozenset({"access_token", "audience"})
_CACHED = f"public, max-age={MAX_AGE}"


def the_request() -> TokenServiceRequest:
    """Return the request being handled."""
    return cast("TokenServiceRequest", request_ctx.request)


async def _form(request: TokenServiceRequest, known: frozenset[str]) -> Form:
    body = cast("bytes", await request.get_data())
    return read_form(request.headers.get("Content-Type"), body, known)


def add_views(app: Quart, service: Service) -> None:
    """Add the endpoints of a service to an application."""
    log: Any = structlog.get_logger("tokendealer").bind()
    etag = f'"{service.jwk_set.etag}"'
    document = to_json(metadata(service.settings.issuer)).encode()

    @app.route(OAUTH_PATH, methods=["POST"], provide_automatic_options=False)
    @document_request(TokenRequest, source=DataSource.FORM)
    @document_response(TokenReply, 200)
    @document_response(ErrorReply, 400)
    @document_response(ErrorReply, 401)
    async def token() -> Response:
        """Issue an access token to a client that authenticates (RFC 6749 section 4.4)."""
        request = the_request()
        form = await _form(request, token_endpoint.PARAMETERS)
        granted = service.token_endpoint.grant(request.headers.getlist("Authorization"), form)
        claims = granted.claims
        log.info(
            "token_issued",
            request_id=request.request_id,
            client_id=claims["client_id"],
            audience=claims["aud"],
            scope=claims.get("scope", ""),
            jti=claims["jti"],
            expires_at=claims["exp"],
        )
        return json_reply(service.token_endpoint.reply(granted))

    @app.route(VERIFY_PATH, methods=["POST"], provide_automatic_options=False)
    @document_request(VerifyRequest, source=DataSource.FORM)
    @document_response(Claims, 200)
    @document_response(ErrorReply, 400)
    async def verify_token() -> Response:
        """Return the claims of a token of this issuer, or 400 if it is not valid for the audience."""
        form = await _form(the_request(), _VERIFY_PARAMETERS)
        return json_reply(service.tokens.verify(form.require("access_token"), form.require("audience")))

    @app.route(JWKS_PATH, methods=["GET"], provide_automatic_options=False)
    @document_response(JwkSetDocument, 200)
    async def jwks() -> Response:
        """Return the public signing keys (RFC 7517)."""
        headers = {"Cache-Control": _CACHED, "ETag": etag}
        if the_request().if_none_match.contains_weak(service.jwk_set.etag):  # RFC 9110 section 13.1.2
            return not_modified(headers)
        return public_reply(service.jwk_set.body, MEDIA_TYPE, headers)

    @app.route(METADATA_PATH, methods=["GET"], provide_automatic_options=False)
    @document_response(MetadataDocument, 200)
    async def authorization_server() -> Response:
        """Return the metadata of this authorization server (RFC 8414)."""
        return public_reply(document, "application/json", {"Cache-Control": _CACHED})

    @app.route(HEALTH_PATH, methods=["GET"], provide_automatic_options=False)
    @document_response(Health, 200)
    @document_response(Health, 503)
    async def healthz() -> Response:
        """Say whether tokens can be issued."""
        fresh = service.clients.fresh
        return json_reply({"status": "ok" if fresh else "stale"}, 200 if fresh else 503)
