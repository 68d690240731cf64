"""Finding the one bearer token in the headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream.tokens import bearer
from upstream.tokens.refusal import InvalidRequestError, InvalidTokenError, RefusalError, TokenMissingError


@pytest.mark.parametrize("value", ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c"])
def test_reads_a_token(value: str) -> None:
    assert bearer.read([value]) == "a.b.c"


@pytest.mark.parametrize(
    "values", [[], [""], ["Basic dTpw"], ["Bearer"], ["a.b.c"], ["Bearerx a.b.c"], ["DPoP a.b.c"]]
)
def test_finds_none(values: list[str]) -> None:
    with pytest.raises(TokenMissingError):
        bearer.read(values)


@pytest.mark.parametrize("values", [["Bearer a.b.c"] * 2, ["Bearer a.b.c", "Basic dTpw"], ["Basic dTpw", ""]])
def test_refuses_more_than_one_header(values: list[str]) -> None:
    with pytest.raises(InvalidRequestError):
        bearer.read(values)


@pytest.mark.parametrize(
    "token",
    [
        *(
            "",
            " a.b.c",
            "a.b.c ",
            "a.b.c,Bearer d.e.f",
            "a.b",
            "a.b.c.d",
            "a.b.c.d.e",
            ".a.b.c",
            "a..c",
            "a.b.",
        ),
        *("a.b.c.", "a=.b.c", "a+.b.c", "a/.b.c", "a.b.c\n", "a.b.c\x00", "ä.b.c", '{"payload":"a"}'),
        *("a" * 8193, "a.b." + "c" * 8192),
    ],
)
def test_refuses_what_is_no_token(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        bearer.read([f"Bearer {token}"])


def test_takes_a_token_of_exactly_8_kib() -> None:
    token = "a.b." + "c" * (8192 - 4)
    assert bearer.read([f"Bearer {token}"]) == token


@given(st.lists(st.text(max_size=20) | st.text(max_size=20).map("Bearer ".__add__), max_size=3))
def test_any_headers_give_a_token_or_a_refusal(values: list[str]) -> None:
    try:
        token = bearer.read(values)
    except RefusalError:
        return
    assert token.count(".") == 2
    assert len(values) == 1
