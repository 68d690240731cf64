"""lua/bartizan/waf/bodies/json.lua: the same texts as the shared reader, and each value by its way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.collected import JSON, Collect, Pairs, Request, Verdict

TEXTS: Final = Path(__file__).parents[4] / "cases" / "json.json"
# Beyond what any of these texts needs, so that only the grammar decides.
LIMITS: Final = {"arguments": 100_000, "depth": 1000}
FULL: Final = Verdict("full", None, None)


@pytest.fixture(scope="module")
def collect() -> Collect:
    return Collect()


def read(collect: Collect, text: bytes, **limits: Any) -> tuple[Pairs, Verdict]:
    seen, verdict = collect.read(Request(body=text, media_type=JSON), **{**LIMITS, **limits})
    assert seen.error == (verdict.complete != "full")
    return seen.arguments, verdict


def members(value: Any, name: str = "json", top: bool = True) -> Iterator[tuple[bytes, bytes]]:
    """Name each value as libmodsecurity does, of what Python's json made of a text."""
    if isinstance(value, dict):
        inner = [(f"{name}.{key or 'empty-key'}", item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [(f"{name}.array_{i}", item) for i, item in enumerate(value)]
    else:
        text = {None: "", True: "true", False: "false"}[value] if value in (None, True, False) else str(value)
        yield name.encode(), text.encode()
        return
    if not inner and not top:
        yield name.encode(), b""
    for key, item in inner:
        yield from members(item, key, top=False)


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def load(text: str) -> Any:
    return json.loads(text, parse_int=Number, parse_float=Number)


def shared_outcome(collect: Collect, text: bytes) -> str | None:
    """Say why the shared reader refuses a text; None: it does not."""
    decode = collect.lua.require("bartizan.json").decode
    limits = collect.lua.table({"depth": LIMITS["depth"], "count": LIMITS["arguments"], "exact": False})
    outcome = decode(text.decode("latin-1"), limits)
    # What the text itself is comes alone; a refusal is nil and a reason.
    return str(outcome[1]) if isinstance(outcome, tuple) else None


def shared_texts() -> list[bytes]:
    cases = json.loads(TEXTS.read_text())["cases"]
    texts = [case["text"].encode() if "text" in case else bytes.fromhex(case["hex"]) for case in cases]
    assert len(texts) > 200
    # Without a text there is no body to read.
    return [text for text in texts if text]


def assert_agreement(collect: Collect, text: bytes) -> None:
    arguments, verdict = read(collect, text)
    refusal = shared_outcome(collect, text)
    if refusal is None:
        assert verdict == FULL, text
        assert arguments == list(members(load(text.decode()))), text
    else:
        assert verdict == Verdict("partial", "malformed", refusal), text


@pytest.mark.parametrize("text", shared_texts())
def test_the_shared_readers_texts(collect: Collect, text: bytes) -> None:
    assert_agreement(collect, text)


keys = st.text(alphabet='ab\u00e9\U0001f600\x00\\".', max_size=2)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)


@given(value=values, ascii_only=st.booleans(), indent=st.sampled_from([None, 1, "\t"]))
def test_what_python_writes(collect: Collect, value: Any, ascii_only: bool, indent: int | str | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert read(collect, text.encode()) == (list(members(load(text))), FULL)


@given(value=values, data=st.data())
def test_damaged_text(collect: Collect, value: Any, data: st.DataObject) -> None:
    text = bytearray(json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode())
    interesting = st.sampled_from(
        list(b'{}[]",:\\u0123456789abcdefDd8+-.eE nt\x00\n\xc3\xa9\xed\xa0\xf4\xff')
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 2))] = bytes(data.draw(st.lists(interesting, max_size=2)))
    if text:
        assert_agreement(collect, bytes(text))


@given(value=values, more=st.integers(1, 100), data=st.data())
def test_what_was_read_of_a_text_that_was_cut_is_inspected(
    collect: Collect, value: Any, more: int, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode()
    window = data.draw(st.integers(1, len(text)))
    arguments, verdict = collect.read(
        Request(body=text[:window], media_type=JSON), truncated=True, length=window + more, **LIMITS
    )
    assert verdict == Verdict("partial", "too_large", None)
    whole = list(members(load(text.decode())))
    got = arguments.arguments
    # Only the last is cut: in its value, or before it; then its name is there.
    assert got[:-1] == whole[: max(len(got) - 1, 0)]
    if got and got[-1] not in whole:
        name, part = got[-1]
        complete = [text for full_name, text in whole if full_name == name]
        assert part in b"null" or any(text.startswith(part) for text in complete)


def test_an_attack_in_what_was_cut_is_there(collect: Collect) -> None:
    text = b'{"comment": "\\u003cscript\\u003ealert(1)'
    seen, _ = collect.read(Request(body=text, media_type=JSON), truncated=True)
    assert seen.arguments == [(b"json.comment", b"<script>alert(1)")]


@pytest.mark.parametrize("missing", range(1, 12))
def test_a_cut_escape_hides_nothing_before_it(collect: Collect, missing: int) -> None:
    text = rb'["<script>\ud83d\ude00'[:-missing]
    seen, _ = collect.read(Request(body=text, media_type=JSON), truncated=True)
    assert seen.arguments == [(b"json.array_0", b"<script>")]


def test_nesting_is_read_without_recursion(collect: Collect) -> None:
    text = b'{"a":' * 20_000
    assert read(collect, text, window=len(text), depth=1000) == (
        [],
        Verdict("partial", "too_deep", "nested deeper than 1000 levels"),
    )


def test_names_can_not_outgrow_the_text(collect: Collect) -> None:
    """Each element is called after the key around it: of a long key many elements make very much."""
    key = "k" * 1000
    elements = 1_048_576 // len(f"json.{key}.array_000") + 1
    seen, verdict = collect.read(
        Request(body=json.dumps({key: [0] * elements}).encode(), media_type=JSON), arguments=elements
    )
    assert verdict == Verdict("partial", "too_many", "more than 1048576 bytes of names")
    assert 1_000_000 < sum(len(name) for name, _ in seen.arguments) < 1_048_576
    fewer = json.dumps({key: [0] * (elements - 10)}).encode()
    assert collect.read(Request(body=fewer, media_type=JSON), arguments=elements)[1] == FULL


def test_a_refusal_leaves_nothing_behind_for_the_next_text(collect: Collect) -> None:
    read(collect, b'{"a":[1,{"b":2')
    assert read(collect, b'{"b":[{"b":3}]}') == ([(b"json.b.array_0.b", b"3")], FULL)
    assert read(collect, b"[1") == (
        [(b"json.array_0", b"1")],
        Verdict("partial", "malformed", "the text ends too early"),
    )
    assert read(collect, b'"x"') == ([(b"json", b"x")], FULL)
