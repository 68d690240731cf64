"""Whatever the value is, an operator answers and keeps nothing of it."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.rules.names import OPERATORS
from tests.support.libmodsecurity import Answer
from tests.support.memory import resident_bytes
from tests.support.operators import Operators

# With what each is made.
ARGUMENTS: Final[dict[str, tuple[bytes, tuple[bytes, ...]]]] = {
    "beginsWith": (b"ab", ()),
    "contains": (b"ab", ()),
    "containsWord": (b"ab", ()),
    "detectSQLi": (b"", ()),
    "detectXSS": (b"", ()),
    "endsWith": (b"ab", ()),
    "eq": (b"1", ()),
    "ge": (b"1", ()),
    "gt": (b"1", ()),
    "ipMatch": (b"10.0.0.0/8,2001:db8::/32", ()),
    "ipMatchFromFile": (b"a.data", (b"10.0.0.0/8", b"::1")),
    "le": (b"1", ()),
    "lt": (b"1", ()),
    "noMatch": (b"", ()),
    "pm": (b"ab c", (b"ab", b"\xff\xfe", b"c")),
    "pmFromFile": (b"a.data", (b"<?php", b"etc/passwd", b"\0")),
    "rx": (rb"(?i)(?:a|b){1,20}c|<[^>]{0,50}>|\d\n$", ()),
    "rxGlobal": (rb"(a)|(.)\2", ()),
    "streq": (b"ab", ()),
    "strmatch": (b"ab", ()),
    "unconditionalMatch": (b"", ()),
    "validateByteRange": (b"9,10,13,32-126", ()),
    "validateUrlEncoding": (b"", ()),
    "validateUtf8Encoding": (b"", ()),
    "verifyCC": (rb"\d{13,16}", ()),
    "verifyCPF": (rb"[\d.-]{11,14}", ()),
    "verifySSN": (rb"\d{3}-?\d{2}-?\d{4}", ()),
    "verifySVNR": (rb"\d{10}", ()),
    "within": (b"ab,cd", ()),
}
NAMES: Final = sorted(ARGUMENTS)
SHARED: Final = Operators()
MADE: Final[dict[str, Any]] = {name: SHARED.make(name, *ARGUMENTS[name]) for name in NAMES}


def test_each_operator_that_rules_may_name_can_be_made() -> None:
    assert set(NAMES) == set(OPERATORS.values())


@settings(max_examples=300)
@given(
    st.sampled_from(NAMES),
    st.one_of(
        st.binary(),
        st.lists(st.sampled_from(list(b"abc<>'\"=;%/.:0123456789-\0\n\xc3\xff")), max_size=200).map(bytes),
        st.text(max_size=40).map(str.encode),
    ),
)
def test_it_answers(name: str, value: bytes) -> None:
    answer = SHARED.ask(MADE[name], value)
    assert isinstance(answer, Answer), answer
    assert answer.matches or not answer.captures
    assert set(answer.captures) <= set(range(10))


@pytest.mark.parametrize("name", NAMES)
def test_a_long_value_is_answered(name: str) -> None:
    for piece in (b"a", b"ab", b"<!--", b"4111", b"%41", b"\xc3\xa9", b"1.1.1.1,", b"' or 1=1 "):
        assert isinstance(SHARED.ask(MADE[name], piece * 4000), Answer)


def test_nothing_stays() -> None:
    random = Random(4)  # noqa: S311
    operators = Operators()
    made = [operators.make(name, *ARGUMENTS[name]) for name in NAMES]

    def ask(count: int) -> None:
        for _ in range(count):
            value = random.randbytes(random.choice((8, 200, 3000)))
            for op in made:
                operators.ask(op, value)

    ask(200)  # compiled code is memory, too
    before_lua, before = operators.lua.memory(), resident_bytes()
    ask(200)
    # What came by were some 6 MB, each 29 times.
    assert operators.lua.memory() - before_lua < 128 * 1024
    assert resident_bytes() - before < 16 << 20
