"""What a new user and a query may be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from upstream.users.schemas import MAX_ID, NewUser, UserQuery

GOOD = {"name": "Ada", "email": "ada@example.org"}

TAKEN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"name": "  Ada  "}, {"name": "Ada"}),
    ({"name": "Ada Łukasiewicz-O'Neill <b>"}, {}),
    ({"name": "小川"}, {}),
    ({"name": "a" * 100}, {}),
    ({"name": "'; DROP TABLE users; --"}, {}),
    ({"email": "Ada.Lovelace+x@Example.ORG"}, {"email": "ada.lovelace+x@example.org"}),
    ({"email": f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.ee"}, {}),
    ({"location": None}, {}),
    ({"location": "London"}, {}),
    ({"website": "https://example.com"}, {"website": "https://example.com/"}),
    ({"website": "HTTP://Example.com/A?b#c"}, {"website": "http://example.com/A?b#c"}),
    ({"website": "https://münchen.example/"}, {"website": "https://xn--mnchen-3ya.example/"}),
    ({"about": "two\nlines, {{ 7*7 }} & <script>"}, {}),
]

REFUSED: list[tuple[str, Any]] = [
    ("name", None),
    ("name", ""),
    ("name", "   "),
    ("name", "a" * 101),
    ("name", 7),
    ("name", ["Ada"]),
    ("name", "Ada\nLovelace"),
    ("name", "Ada\x00"),
    ("name", "Ada\x1b[31m"),
    ("name", "Ada\u202eevil"),
    ("name", "Ada\u2028Lovelace"),
    ("name", "\ud800"),
    ("email", "ada"),
    ("email", "ada@"),
    ("email", "@example.org"),
    ("email", "ada@example"),
    ("email", "ada@@example.org"),
    ("email", "ada@example.org, eve@example.org"),
    ("email", "ada@example.org\nBcc: eve@example.org"),
    ("email", "a d a@example.org"),
    ("email", "ada@exämple.org"),
    ("email", "a" * 65 + "@example.org"),
    ("email", "ada@" + "a." * 130 + "org"),
    ("location", ""),
    ("location", "a" * 101),
    ("website", ""),
    ("website", "example.com"),
    ("website", "javascript:alert(1)"),
    ("website", "JavaScript:alert(1)"),
    ("website", "data:text/html,x"),
    ("website", "ftp://example.com/"),
    ("website", "//example.com"),
    ("website", "https://"),
    ("website", "https://user:password@example.com/"),
    ("website", "https://github.com@evil.test/"),
    ("website", "https://example.com/" + "a" * 2000),
    ("about", "a" * 2001),
    ("about", "bell\x07"),
    ("admin", True),
    ("id", 1),
]


@pytest.mark.parametrize(("given_", "kept"), TAKEN)
def test_takes_a_user(given_: dict[str, Any], kept: dict[str, Any]) -> None:
    user = NewUser.model_validate({**GOOD, **given_})
    assert user.model_dump(exclude_unset=True) == {**GOOD, **given_, **kept}


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_refuses_a_user(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        NewUser.model_validate({**GOOD, field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize("missing", ["name", "email"])
def test_refuses_a_user_without(missing: str) -> None:
    with pytest.raises(ValidationError):
        NewUser.model_validate({name: value for name, value in GOOD.items() if name != missing})


@given(st.text(max_size=120))
def test_a_name_that_is_taken_is_one_clean_line(name: str) -> None:
    try:
        user = NewUser.model_validate({**GOOD, "name": name})
    except ValidationError:
        return
    assert user.name == user.name.strip()
    assert 1 <= len(user.name) <= 100
    assert len(user.name.splitlines()) == 1


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ({}, (None, 20, 0)),
        ({"q": " ada "}, ("ada", 20, 0)),
        ({"limit": "1"}, (None, 1, 0)),
        ({"limit": "100", "after": str(MAX_ID)}, (None, 100, MAX_ID)),
    ],
)
def test_reads_a_query(query: dict[str, str], read: tuple[str | None, int, int]) -> None:
    parsed = UserQuery.model_validate(query)
    assert (parsed.q, parsed.limit, parsed.after) == read


@pytest.mark.parametrize(
    "query",
    [
        {"limit": value}
        for value in ("0", "-1", "101", "1e2", "1.5", "", "ten", "0x10", "9" * 5000, ["1", "2"])
    ]
    + [{"after": value} for value in ("-1", str(MAX_ID + 1), "x")]
    + [{"q": value} for value in ("", "  ", "a" * 101, "a\x00", "a\nb", ["a", "b"])]
    + [{"offset": "3"}],
)
def test_refuses_a_query(query: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UserQuery.model_validate(query)
