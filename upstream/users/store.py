"""Reading and writing users. Values reach SQL as bound parameters only."""

import unicodedata
from collections.abc import Sequence

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from upstream.users.model import User
from upstream.users.schemas import NewUser


class EmailTakenError(Exception):
    """Another user has this e-mail address."""


class UserStore:
    """The users in the database."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions

    async def list(self, *, after: int, limit: int, containing: str | None = None) -> Sequence[User]:
        """Return users in the order of their ids.

        Args:
            after: only users with a greater id.
            limit: how many at most.
            containing: only users with this text in name, e-mail address or location; `%` and `_` mean
                themselves.
        """
        query = select(User).where(User.id > after).order_by(User.id).limit(limit)
        if containing is not None:
            query = query.where(User.searchable.contains(_fold(containing), autoescape=True))
        async with self._sessions() as session:
            return (await session.scalars(query)).all()

    async def get(self, user_id: int) -> User | None:
        """Return one user, None if there is none with this id."""
        async with self._sessions() as session:
            return await session.get(User, user_id)

    async def add(self, new: NewUser) -> User:
        """Add a user and return it with its id.

        Raises:
            EmailTakenError: the e-mail address is another user's. The database decides, so two requests at
                the same moment can't both pass.
        """
        user = User(
            **new.model_dump(), searchable=_fold("\n".join((new.name, new.email, new.location or "")))
        )
        try:
            async with self._sessions.begin() as session:
                session.add(user)
        except IntegrityError as error:
            raise EmailTakenError from error
        return user

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with self._sessions() as session:
            await session.execute(text("SELECT 1"))


def _fold(text: str) -> str:
    """Bring text to the form that searches compare: SQLite itself folds the case of ASCII letters only."""
    return unicodedata.normalize("NFKC", text).casefold()
