"""What is collected of a request against libmodsecurity 3, on requests of any bytes.

Where both differ, `DIFFERENCES` says on what and why; it is checked that they still do, and the random
tests admit a difference for no other reason.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.collected import JSON, Collect, Pairs, Request, Seen, ask_library


class Difference(NamedTuple):
    """One request of which both see something different."""

    why: str
    request: Request
    ours: Seen
    theirs: Seen


def seen(
    arguments: Pairs | None = None, cookies: Pairs | None = None, malformed: bool = False, error: bool = False
) -> Seen:
    return Seen(arguments or [], cookies or [], malformed, error)


def of_json(text: bytes) -> Request:
    return Request(body=text, media_type=JSON)


DIFFERENCES: Final = [
    Difference(
        "servers read a cookie without a name, so it is inspected",
        Request(cookies=[b"=v; a=1"]),
        seen(cookies=[(b"", b"v"), (b"a", b"1")]),
        seen(cookies=[(b"a", b"1")]),
    ),
    Difference(
        "the name of an empty container would be inspected nowhere",
        of_json(b'{"a":{},"b":[[]]}'),
        seen([(b"json.a", b""), (b"json.b.array_0", b"")]),
        seen(),
    ),
    Difference(
        "readers differ on which of two equal names counts (RFC 8259 section 4)",
        of_json(b'{"a":1,"a":2}'),
        seen([(b"json.a", b"1")], error=True),
        seen([(b"json.a", b"1"), (b"json.a", b"2")]),
    ),
    Difference(
        "half a surrogate pair is no character (RFC 8259 section 8.2)",
        of_json(b'["\\ud800"]'),
        seen(error=True),
        seen([(b"json.array_0", b"?")]),
    ),
    Difference(
        "a number has its bound (RFC 8259 section 9)",
        of_json(b"[" + b"1" * 1001 + b"]"),
        seen(error=True),
        seen([(b"json.array_0", b"1" * 1001)]),
    ),
    Difference(
        "JSON is nested no deeper than 64 levels",
        of_json(b"[" * 65 + b"1" + b"]" * 65),
        seen(error=True),
        seen([(b"json" + b".array_0" * 65, b"1")]),
    ),
    Difference(
        "there are no more than 1,000 arguments",
        Request(b"/?" + b"a&" * 1001),
        seen([(b"a", b"")] * 1000),
        seen([(b"a", b"")] * 1001),
    ),
    Difference(
        "no client sends a fragment, so a server may take what was sent for the query",
        Request(b"/?a=1#&b=2"),
        seen([(b"a", b"1#"), (b"b", b"2")]),
        seen([(b"a", b"1")]),
    ),
]


@pytest.fixture(scope="module")
def collect() -> Collect:
    return Collect()


@pytest.mark.parametrize("case", DIFFERENCES, ids=[case.why for case in DIFFERENCES])
def test_a_difference_is_as_explained(collect: Collect, case: Difference) -> None:
    assert collect.see(case.request).ordered() == case.ours.ordered()
    assert ask_library(case.request) == case.theirs.ordered()


def pieces(alphabet: bytes, *words: bytes) -> st.SearchStrategy[bytes]:
    """Texts in which what means something is frequent."""
    one = st.sampled_from([bytes([byte]) for byte in alphabet] + list(words))
    return st.lists(one, max_size=30).map(b"".join)


arguments = pieces(b"ab=&%+;0149AFfguz?/ \xc3\xff", b"%41", b"%00", b"%u0041", b"&&", b"%2", b"=%3D")


@given(query=arguments, form=arguments)
def test_queries_and_forms(collect: Collect, query: bytes, form: bytes) -> None:
    request = Request(b"/?" + query, body=form)
    assert collect.see(request).ordered() == ask_library(request)


@given(query=st.binary(max_size=30), form=st.binary(max_size=30))
def test_any_bytes(collect: Collect, query: bytes, form: bytes) -> None:
    # The library takes its target as a C string, and ends it at "#".
    query = query.replace(b"\0", b"").replace(b"#", b"")
    request = Request(b"/?" + query, body=form)
    assert collect.see(request).ordered() == ask_library(request)


cookies = pieces(b'ab=;," \t\r\n\x0b\x0c$%\xa0\xff\x00', b"; ", b"a=", b"$Version=1")


@given(fields=st.lists(cookies, max_size=3))
def test_cookies(collect: Collect, fields: list[bytes]) -> None:
    request = Request(cookies=fields)
    ours, theirs = collect.see(request).ordered(), ask_library(request)
    named = [(name, value) for name, value in ours.cookies if name]
    assert Seen(ours.arguments, named, ours.malformed, ours.error) == theirs


keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
# No empty containers: there is a difference about these.
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4) | st.dictionaries(keys, inner, min_size=1, max_size=4)
    ),
    max_leaves=15,
)


@given(value=values, ascii_only=st.booleans(), indent=st.sampled_from([None, 1, "\t"]))
def test_json(collect: Collect, value: Any, ascii_only: bool, indent: int | str | None) -> None:
    request = of_json(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode())
    assert collect.see(request).ordered() == ask_library(request)


@given(value=values, data=st.data())
def test_json_that_ends_too_early(collect: Collect, value: Any, data: st.DataObject) -> None:
    text = json.dumps(value).encode()
    cut = text[: data.draw(st.integers(1, len(text)))]
    request = of_json(cut)
    ours, theirs = collect.see(request).ordered(), ask_library(request)
    # The library parses in pieces and so tells of a number only when something follows it.
    assert ours.error == theirs.error
    assert set(theirs.arguments) <= set(ours.arguments)
