"""The table of users."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all tables, with names for constraints that do not depend on the database."""

    metadata = MetaData(
        naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"},
    )


class User(Base):
    """One user.

    Attributes:
        id: given by the database, never used twice.
        name: how the person is called.
        email: in lower case; no two users share one.
        location: where the person is, in their own words.
        website: an http(s) URL, or None.
        about: a few sentences by the person.
        created_at: when the user was added, in UTC.
        searchable: name, e-mail address and location, one a line, in the form that a search is compared in.
    """

    __tablename__ = "users"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (SQLAlchemy's own way to declare it)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    email: Mapped[str] = mapped_column(String(254), unique=True)
    location: Mapped[str | None] = mapped_column(String(100))
    website: Mapped[str | None] = mapped_column(String(2048))
    about: Mapped[str | None] = mapped_column(String(2000))
    created_at: Mapped[datetime] = mapped_column(
        DateTime, default=lambda: datetime.now(UTC).replace(tzinfo=None)
    )
    searchable: Mapped[str] = mapped_column(Text)
