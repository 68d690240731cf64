"""Scopes (RFC 6749 section 3.3) and audiences (RFC 8707)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokendealer.rfc6749.errors import OAuthError, PublicError
from tokendealer.rfc6749.scope import grant_scope
from tokendealer.rfc8707 import choose_audience

NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(registered=st.lists(NAMES, unique=True), asked=st.lists(NAMES, min_size=1))
def test_a_scope_is_granted_whole_or_not_at_all(registered: list[str], asked: list[str]) -> None:
    granted = None
    with suppress(OAuthError):
        granted = grant_scope(" ".join(asked), registered)
    if set(asked) <= set(registered):
        assert granted is not None
        assert sorted(granted) == sorted(set(asked))
    else:
        assert granted is None


@given(st.text())
def test_any_text_for_a_scope(text: str) -> None:
    granted = None
    with suppress(OAuthError):
        granted = grant_scope(text, ["a", "b"])
    assert granted is None or set(granted) <= {"a", "b"}


def test_no_scope_asked_for_is_all_of_it() -> None:
    assert grant_scope(None, ["b", "a"]) == ("b", "a")
    assert grant_scope(None, []) == ()


API = "https://api.example/v1"

CHOSEN: list[tuple[str | None, list[str], list[str], str]] = [
    ("data", [], ["data"], "data"),
    ("data", [], ["data", API], "data"),
    (None, [], ["data"], "data"),
    (None, [API], ["data", API], API),
    (API, [API, API], [API], API),
    (None, ["urn:example:data"], ["urn:example:data"], "urn:example:data"),
]


@pytest.mark.parametrize(("audience", "resources", "registered", "chosen"), CHOSEN)
def test_what_is_chosen(
    audience: str | None, resources: list[str], registered: list[str], chosen: str
) -> None:
    assert choose_audience(audience, resources, registered) == chosen


REFUSED: list[tuple[str | None, list[str], list[str]]] = [
    ("other", [], ["data"]),
    ("Data", [], ["data"]),
    ("data ", [], ["data"]),
    (None, [], ["data", API]),
    (None, [], []),
    ("data", [API], ["data", API]),
    (None, [API, API + "/"], [API, API + "/"]),
    (None, ["data"], ["data"]),
    (None, [API + "#x"], [API + "#x"]),
    (None, [API + "#"], [API + "#"]),
    (None, ["//api.example/v1"], ["//api.example/v1"]),
    (None, ["https:"], ["https:"]),
    (None, ["http://["], ["http://["]),
]


@pytest.mark.parametrize(("audience", "resources", "registered"), REFUSED)
def test_what_is_refused(audience: str | None, resources: list[str], registered: list[str]) -> None:
    with pytest.raises(OAuthError) as refused:
        choose_audience(audience, resources, registered)
    assert refused.value.public is PublicError.INVALID_TARGET


@given(st.none() | st.text(), st.lists(st.text()))
def test_any_text_for_an_audience(audience: str | None, resources: list[str]) -> None:
    with suppress(OAuthError):
        assert choose_audience(audience, resources, ["data"]) == "data"
