"""The application: its parts put together."""

import re
from collections.abc import AsyncGenerator

import httpx
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from jinja2 import StrictUndefined
from quart import Quart
from quart.wrappers.base import BaseRequestWebsocket
from quart_schema import hide
from werkzeug.routing import MapAdapter

from upstream import database, hygiene, openapi, problem
from upstream.services import Services, services
from upstream.settings import Settings
from upstream.strict_request import StrictRequest
from upstream.tokens.keysource import KeySource
from upstream.tokens.verifier import Verifier
from upstream.users.feed import Feed
from upstream.users.store import UserStore
from upstream.users.streams import streams
from upstream.users.views import UserIdConverter, users

_ONE_SLASH = re.compile(r"/(?!/)")
_NOWHERE = "/.nowhere"


class _Service(Quart):
    """Routes by the path alone.

    Quart reads the Host header to route: one that is no host name raises outside of all error handling, and
    one that is would end up in URLs. The gateway has judged Host; this service has one name for everybody.
    """

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        # Quart raises on an empty path, and its router takes off leading slashes or does without one.
        if scope["type"] != "lifespan" and _ONE_SLASH.match(scope["path"]) is None:
            scope["path"] = _NOWHERE
        await super().__call__(scope, receive, send)

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        if request is None:
            return None
        return self.url_map.bind(
            "localhost", url_scheme=request.scheme, default_method=request.method, path_info=request.path
        )


def create_app(settings: Settings, *, key_transport: httpx.AsyncBaseTransport | None = None) -> Quart:
    """Make the application.

    Args:
        settings: what the service is told.
        key_transport: how the issuer's keys are fetched, over the network if None.
    """
    app = _Service("upstream", static_folder=None)
    app.request_class = StrictRequest
    app.config.from_mapping(
        MAX_CONTENT_LENGTH=settings.body_limit,
        BODY_TIMEOUT=10,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    # No redirect to a tidied path, which would be built from the Host header: a path is the service's, or
    # 404.
    app.url_map.merge_slashes = False
    app.url_map.converters["user_id"] = UserIdConverter
    app.jinja_env.undefined = StrictUndefined

    engine = database.open_engine(settings.database)
    parts = Services(
        settings=settings,
        verifier=Verifier(settings.issuer, settings.audience, settings.skew),
        keys=KeySource(settings.jwks, settings.algorithms, transport=key_transport),
        users=UserStore(database.sessions_of(engine)),
        feed=Feed(),
    )
    parts.attach(app)

    @app.while_serving
    async def lifespan() -> AsyncGenerator[None]:
        try:
            async with parts.keys.running():
                yield
        finally:
            parts.stop()
            await engine.dispose()

    hygiene.install(app)
    problem.install(app)
    openapi.install(app, settings)
    app.register_blueprint(users)
    app.register_blueprint(streams)
    app.add_url_rule("/healthz", view_func=healthz, methods=["GET"])
    return app


@hide
async def healthz() -> dict[str, str]:
    """Say that the service and its database answer."""
    await services().users.ping()
    return {"status": "ok"}
