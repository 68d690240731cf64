"""lua/bartizan/waf/collect.lua under any request: no error, no endless loop, bounded output, no growth."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.collected import FORM, JSON, Collect, Request, Verdict

FULL: Final = Verdict("full", None, None)


@pytest.fixture(scope="module")
def collect() -> Collect:
    return Collect()


texts = st.binary(max_size=60) | st.text(
    "ab=&;%+/?:#\"'\\{}[],0123456789uU \x00\t\r\n\u00ff", max_size=60
).map(lambda text: text.encode("latin-1"))
media_types = st.sampled_from([FORM, JSON, b"text/plain", b"text/xml", b"multipart/form-data", b""]) | texts


@given(
    target=texts,
    cookies=st.lists(texts, max_size=3),
    body=st.none() | texts,
    media_type=media_types,
    window=st.integers(1, 80),
    arguments=st.integers(0, 5),
    depth=st.integers(0, 3),
)
def test_any_request_is_read_within_its_bounds(
    collect: Collect,
    target: bytes,
    cookies: list[bytes],
    body: bytes | None,
    media_type: bytes,
    window: int,
    arguments: int,
    depth: int,
) -> None:
    request = Request(target, cookies, body, media_type)
    seen, verdict = collect.read(request, window=window, arguments=arguments, depth=depth)
    # What was taken from the head stays: its bound is another.
    of_target = len(target.split(b"&"))
    assert len(seen.arguments) <= max(arguments, of_target)
    assert len(seen.cookies) <= sum(len(value.split(b";")) for value in cookies)
    assert verdict.complete in ("full", "partial", "none")
    assert (verdict.why is None) == (verdict.complete == "full")
    if media_type == FORM:
        size = sum(len(name) + len(value) for name, value in seen.arguments)
        assert size <= len(target) + min(len(body or b""), window)


@given(cookies=st.lists(texts, max_size=3), query=texts, form=texts)
def test_the_same_request_is_always_seen_alike(
    collect: Collect, cookies: list[bytes], query: bytes, form: bytes
) -> None:
    """A transaction that is used again keeps nothing of the request before."""
    request = Request(b"/?" + query, cookies, form)
    assert collect.read(request) == Collect().read(request)


@pytest.mark.parametrize(("kind", "window"), [(FORM, 131072), (JSON, 131072)], ids=["form", "JSON"])
def test_a_body_that_fills_the_window(collect: Collect, kind: bytes, window: int) -> None:
    """What costs a reader most: all escapes, and one value that is as long as the window."""
    unit, before = (b"%3c", b"a=") if kind == FORM else (b"\\u003c", b'{"a":"')
    body = before + unit * ((window - len(before)) // len(unit))
    seen, verdict = collect.read(Request(body=body, media_type=kind), window=window, truncated=True)
    assert verdict == Verdict("partial", "too_large", None)
    assert seen.arguments[0][1] == b"<" * ((window - len(before)) // len(unit))


@pytest.mark.parametrize("body", [b"&" * 100_000, b"%" * 100_000, b"=" * 100_000, b"a=1&" * 25_000])
def test_many_pieces_of_a_form_end_at_the_bound(collect: Collect, body: bytes) -> None:
    seen, verdict = collect.read(Request(body=body))
    assert len(seen.arguments) <= 1000
    assert verdict in (FULL, Verdict("partial", "too_many", "more than 1000 arguments"))


@pytest.mark.parametrize(("cookies", "complete"), [(1000, "full"), (1001, "partial")])
def test_the_bound_of_cookies(collect: Collect, cookies: int, complete: str) -> None:
    read = collect.lua.execute(
        """
        local collect = require("bartizan.waf.collect")
        return function(value)
            local t = collect.head({
                method = "GET", target = "/", protocol = "HTTP/1.1",
                names = { "cookie" }, values = { value }, count = 1,
            })
            return t.head.complete, t.head.why, t.collections.REQUEST_COOKIES.n
        end
        """
    )
    assert read("a;" * cookies) == (complete, None if complete == "full" else "too_many", 1000)


def test_a_request_that_was_refused_before_its_fields_were_read(collect: Collect) -> None:
    head = collect.lua.execute(
        """
        local t = require("bartizan.waf.collect").head({
            method = "GET", target = "/?a=1", protocol = "HTTP/1.1", line = "GET /?a=1 HTTP/1.1",
        })
        return t.collections.ARGS.n, t.collections.REQUEST_HEADERS.n, t.scalars.FULL_REQUEST
        """
    )
    assert head == (1, 0, "GET /?a=1 HTTP/1.1\n\n")


def test_nothing_grows(collect: Collect) -> None:
    """Requests that never repeat leave nothing behind."""

    def send(start: int) -> None:
        for i in range(start, start + 300):
            word = b"%d" % i
            pairs = b"&".join(b"n%s%d=%%41%s" % (word, j, word * 20) for j in range(50))
            collect.read(Request(b"/?" + pairs, [b"c%s=%s" % (word, word)], pairs))
            members = b",".join(b'"k%s%d":{"x":"%s\\n"}' % (word, j, word * 20) for j in range(50))
            collect.read(Request(body=b"{%s}" % members, media_type=JSON))

    send(0)
    before = collect.lua.memory()
    send(300)
    assert collect.lua.memory() - before < 65536
