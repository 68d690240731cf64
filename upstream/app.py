"""The application: its parts put together."""

from collections.abc import AsyncGenerator

import httpx
from jinja2 import StrictUndefined
from quart import Quart
from quart_schema import hide

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


def create_app(settings: Settings, *, key_transport: httpx.AsyncBaseTransport | None = None) -> Quart:
    """Make the application.

    Args:
        settings: what the service is told.
        key_transport: how the issuer's keys are fetched, over the network if None.
    """
    app = Quart("upstream")
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
