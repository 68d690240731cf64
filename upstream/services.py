"""What the views work with: made once by `create_app` and carried by the application."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from quart import Quart, current_app

if TYPE_CHECKING:
    from upstream.settings import Settings
    from upstream.tokens.keysource import KeySource
    from upstream.tokens.verifier import Verifier
    from upstream.users.feed import Feed
    from upstream.users.store import UserStore

_NAME = "upstream"


@dataclass(frozen=True, slots=True)
class Services:
    """The service's parts.

    Attributes:
        stopping: set when the service begins to stop, so that endless answers end.
    """

    settings: "Settings"
    verifier: "Verifier"
    keys: "KeySource"
    users: "UserStore"
    feed: "Feed"
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def attach(self, app: Quart) -> None:
        """Have an application carry these parts."""
        app.extensions[_NAME] = self

    def stop(self) -> None:
        """End event streams and WebSockets; a second call changes nothing."""
        self.stopping.set()
        self.feed.close()


def services() -> Services:
    """Return the parts of the application that handles the current request."""
    return services_of(current_app)


def services_of(app: Quart) -> Services:
    """Return the parts that an application carries."""
    return cast("Services", app.extensions[_NAME])
