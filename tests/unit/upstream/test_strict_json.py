"""The strict reading of JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream.strict_json import MAX_DEPTH, InvalidJsonError, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_reads_back_what_was_written(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(st.binary(max_size=40))
def test_any_bytes_are_either_read_or_refused(data: bytes) -> None:
    try:
        value = parse(data)
    except InvalidJsonError:
        return
    assert json.loads(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} {}',
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'[{"a": 1, "\\u0061": 2}]',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e400",
        b"-1e400",
        b"01",
        b"+1",
        b".5",
        b"0x10",
        b'"\x01"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"9" * 5000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_refuses(data: bytes) -> None:
    with pytest.raises(InvalidJsonError):
        parse(data)


def test_reads_as_deep_as_it_says() -> None:
    value = parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH - 1):
        assert isinstance(value, list)
        (value,) = value
    assert value == []
