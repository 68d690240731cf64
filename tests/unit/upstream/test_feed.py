"""The feed of new users: everybody hears, nobody is waited for."""

import gc
from datetime import UTC, datetime

import pytest

from upstream.users.feed import MAX_LISTENERS, MAX_WAITING, Feed, FeedEndedError, FeedFullError
from upstream.users.schemas import UserView


def user(number: int) -> UserView:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    email = f"u{number}@example.org"
    return UserView(
        id=number, name="U", email=email, location=None, website=None, about=None, created_at=created
    )


async def test_every_listener_hears_of_users_added_after_it_came() -> None:
    feed = Feed()
    first = feed.connect()
    feed.publish(user(1))
    second = feed.connect()
    feed.publish(user(2))
    assert [await first.next(1), await first.next(1)] == [user(1), user(2)]
    assert await second.next(1) == user(2)


async def test_says_when_nothing_came() -> None:
    assert await Feed().connect().next(0.001) is None


async def test_a_listener_that_does_not_read_is_dropped_and_holds_up_nobody() -> None:
    feed = Feed()
    slow, quick = feed.connect(), feed.connect()
    for number in range(MAX_WAITING + 10):
        feed.publish(user(number))
        assert await quick.next(1) == user(number)
    assert [await slow.next(1) for _ in range(MAX_WAITING)] == [user(number) for number in range(MAX_WAITING)]
    with pytest.raises(FeedEndedError):
        await slow.next(1)


async def test_takes_only_so_many_listeners_and_has_room_again_when_one_goes() -> None:
    feed = Feed()
    listeners = [feed.connect() for _ in range(MAX_LISTENERS)]
    with pytest.raises(FeedFullError):
        feed.connect()
    feed.disconnect(listeners[0])
    listeners.append(feed.connect())
    with pytest.raises(FeedFullError):
        feed.connect()
    assert len(listeners) == MAX_LISTENERS + 1


async def test_a_forgotten_listener_makes_room() -> None:
    feed = Feed()
    for _ in range(MAX_LISTENERS * 2):
        feed.connect()
    gc.collect()
    assert feed.connect() is not None


async def test_closing_ends_all_listeners_those_to_come_included() -> None:
    feed = Feed()
    early = feed.connect()
    feed.publish(user(1))
    feed.close()
    feed.close()
    assert await early.next(1) == user(1)
    for listener in (early, feed.connect()):
        with pytest.raises(FeedEndedError):
            await listener.next(1)
