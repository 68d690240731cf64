"""What clients send and get, as typed models; the OpenAPI document is made from them."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, AnyHttpUrl, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from upstream.users.model import User

# SQLite keeps an integer in 64 bits.
MAX_ID = 2**63 - 1
MAX_PAGE = 100

# RFC 5321 section 4.5.3.1: 64 bytes before the @ and 254 in all. Whether an address is anybody's shows only
# when it is written to; here it is kept from being something else altogether.
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_HTTP_URL = TypeAdapter(AnyHttpUrl)


def _one_line(text: str) -> str:
    if any(unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"} for character in text):
        raise ValueError("control characters are not allowed")
    return text


def _no_controls(text: str) -> str:
    _one_line(text.replace("\n", " "))
    return text


def _email(text: str) -> str:
    if _EMAIL.fullmatch(text) is None:
        raise ValueError("not an e-mail address")
    return text.lower()


def _website(text: str) -> str:
    url = _HTTP_URL.validate_python(text)
    if url.username is not None or url.password is not None:
        raise ValueError("a user name or password has no place in a link")
    return str(url)


_Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_one_line)
]


class NewUser(BaseModel):
    """A user to add."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: Annotated[_Line, Field(description="How the person is called.", examples=["Ada Lovelace"])]
    email: Annotated[
        str,
        StringConstraints(max_length=254),
        AfterValidator(_email),
        Field(
            description="Compared without regard to case; no two users share one.",
            examples=["ada@example.org"],
        ),
    ]
    location: Annotated[_Line | None, Field(examples=["London"])] = None
    website: Annotated[
        Annotated[str, StringConstraints(max_length=2000), AfterValidator(_website)] | None,
        Field(description="An http or https URL.", examples=["https://github.com/ada"]),
    ] = None
    about: Annotated[
        Annotated[str, StringConstraints(max_length=2000), AfterValidator(_no_controls)] | None,
        Field(description="A few sentences."),
    ] = None


class UserView(BaseModel):
    """A user as clients see it."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    email: str
    location: str | None
    website: str | None
    about: str | None
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> Self:
        """Make the view of a row."""
        return cls(
            id=user.id,
            name=user.name,
            email=user.email,
            location=user.location,
            website=user.website,
            about=user.about,
            created_at=user.created_at.replace(tzinfo=UTC),
        )


class UserPage(BaseModel):
    """One page of users, in the order of their ids."""

    model_config = ConfigDict(frozen=True)

    users: list[UserView]
    next: Annotated[str | None, Field(description="The path of the next page; null on the last one.")]


class UserQuery(BaseModel):
    """Which users to list."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[
        Annotated[
            str,
            StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
            AfterValidator(_one_line),
        ]
        | None,
        Field(description="Only users whose name, e-mail address or location contains this text."),
    ] = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE, description="How many users a page has at most.")] = 20
    after: Annotated[int, Field(ge=0, le=MAX_ID, description="Only users with a greater id than this.")] = 0
