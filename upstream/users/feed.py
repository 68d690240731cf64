"""Telling listeners of new users as they are added, within bounds."""

import asyncio
from weakref import WeakSet

from upstream.users.schemas import UserView

MAX_LISTENERS = 100
# A listener that does not read is dropped when this many events wait for it; nobody waits for a slow one.
MAX_WAITING = 64


class FeedFullError(Exception):
    """As many listeners as the service takes are connected."""


class FeedEndedError(Exception):
    """Nothing more will come for this listener."""


class Listener:
    """One connection's view of the feed."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[UserView | None] = asyncio.Queue()
        self._ended = False

    async def next(self, seconds: float) -> UserView | None:
        """Wait for the next new user.

        Args:
            seconds: how long to wait.

        Returns:
            The user, None if none was added in that time.

        Raises:
            FeedEndedError: the service is stopping, or this listener has not kept up.
        """
        try:
            user = await asyncio.wait_for(self._waiting.get(), seconds)
        except TimeoutError:
            return None
        if user is None:
            raise FeedEndedError
        return user

    def offer(self, user: UserView) -> None:
        """Put a new user in the queue; too many waiting there end the listener."""
        if self._ended:
            return
        if self._waiting.qsize() >= MAX_WAITING:
            self.end()
        else:
            self._waiting.put_nowait(user)

    def end(self) -> None:
        """Let what waits be read, and nothing after it."""
        if not self._ended:
            self._ended = True
            self._waiting.put_nowait(None)


class Feed:
    """The connected listeners."""

    def __init__(self) -> None:
        # Weak, because a response whose client left before its first byte is dropped without ever being
        # iterated: its listener goes with it.
        self._listeners: WeakSet[Listener] = WeakSet()
        self._closed = False

    def __len__(self) -> int:
        return len(self._listeners)

    def connect(self) -> Listener:
        """Return a new listener.

        Raises:
            FeedFullError: there are MAX_LISTENERS already.
        """
        if len(self) >= MAX_LISTENERS:
            raise FeedFullError
        listener = Listener()
        self._listeners.add(listener)
        if self._closed:
            listener.end()
        return listener

    def disconnect(self, listener: Listener) -> None:
        """Make room for another listener."""
        self._listeners.discard(listener)

    def publish(self, user: UserView) -> None:
        """Tell every listener of a new user."""
        for listener in list(self._listeners):
            listener.offer(user)

    def close(self) -> None:
        """End every listener, those to come included: the service is stopping."""
        self._closed = True
        for listener in list(self._listeners):
            listener.end()
