"""Hyperscan's compiler: what it takes, what it says, and that its classes mean what PCRE2's do."""

import pytest

from bartizan.errors import BartizanError
from bartizan.rules import hyperscan
from bartizan.rules.hyperscan import (
    Expression,
    HyperscanError,
    Scanner,
    compile_database,
    complaint,
    identity,
)
from bartizan.rules.patterns import RX
from tests.support.pcre2 import search

CLASSES = [
    r"\s", r"\S", r"\w", r"\W", r"\d", r"\D", r"\h", r"\v", ".", "[[:punct:]]", "[[:space:]]", "[[:cntrl:]]",
    "[[:print:]]", "[[:graph:]]", "[[:xdigit:]]", "[[:alpha:]]", "[[:^alnum:]]", "[^a]", "(?i)k", r"(?i)\xe9",
    r"\x{bc}",
    r"\b", r"\Ba", "^", "$", r"\A", r"\z", r"a\Z", r"\x00", r"\e", r"\cA", "[\\x80-\\xff]", r"[\x5c\w-]",
]  # fmt: skip


@pytest.mark.parametrize("pattern", CLASSES)
def test_each_class_has_the_bytes_that_pcre2_gives_it(pattern: str) -> None:
    scanner = Scanner([Expression(1, pattern.encode(), RX)])
    values = [b"", *(bytes([byte]) for byte in range(256)), *(bytes([byte]) + b"\n" for byte in range(256))]
    values += [bytes([byte]) + b"a" for byte in range(256)]
    differ = [value for value in values if bool(scanner.numbers(value)) != search(pattern, value)]
    scanner.close()
    assert not differ


def test_a_database_is_the_same_bytes_each_time() -> None:
    expressions = [Expression(1, b"a+b", RX), Expression(2, b"c$", RX)]
    first = compile_database(expressions)
    assert first == compile_database(expressions)
    assert len(first) > 100


def test_expressions_share_a_number() -> None:
    scanner = Scanner([Expression(7, b"cat", RX), Expression(7, b"dog", RX), Expression(9, b"cow", RX)])
    assert scanner.numbers(b"dog") == {7}
    assert scanner.numbers(b"cow and cat") == {7, 9}
    assert scanner.numbers(b"") == set()
    scanner.close()


def test_the_expression_that_is_refused_is_named() -> None:
    with pytest.raises(HyperscanError, match="Zero-width assertions are not supported") as refused:
        compile_database([Expression(1, b"a", RX), Expression(2, b"a(?=b)", RX)])
    assert refused.value.index == 1


def test_a_nul_byte_would_end_a_pattern_unseen() -> None:
    with pytest.raises(HyperscanError, match="NUL byte"):
        compile_database([Expression(1, b"a\0b", RX)])
    assert complaint(b"a\0b", RX, whole=False) == "a NUL byte"


@pytest.mark.parametrize("whole", [True, False])
def test_complaints(whole: bool) -> None:
    assert complaint(b"a|b", RX, whole=whole) is None
    assert complaint(b"a(?!b)", RX, whole=whole) == "Zero-width assertions are not supported"
    assert complaint(b"a(?!b)", RX | hyperscan.PREFILTER, whole=whole) is None


def test_what_a_database_is_bound_to_is_named() -> None:
    assert "features" in identity()


def test_without_the_library_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperscan, "_LIBRARY", "libhs-that-is-not-there.so")
    hyperscan._library.cache_clear()
    try:
        with pytest.raises(BartizanError, match="apt install libhyperscan5"):
            identity()
    finally:
        hyperscan._library.cache_clear()
