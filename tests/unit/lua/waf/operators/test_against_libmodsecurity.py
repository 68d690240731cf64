"""The operators against libmodsecurity 3, on values of any bytes.

Where both differ, `DIFFERENCES` says on what and why; it is checked that they still do, and the random
tests admit a difference for no other reason.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.libmodsecurity import Answer, ask
from tests.support.operators import Operators

MATCH: Final = Answer(matches=True, captures={})
NO_MATCH: Final = Answer(matches=False, captures={})


def captured(*texts: bytes) -> Answer:
    return Answer(matches=True, captures=dict(enumerate(texts)))


class Difference(NamedTuple):
    """One value of which both say something different."""

    why: str
    operator: str
    value: bytes
    ours: Answer
    theirs: Answer


DIFFERENCES: Final = [
    Difference("its @eq takes a number beyond 32 bits for 0", "@eq 0", b"99999999999", NO_MATCH, MATCH),
    Difference(
        "its @eq takes a number beyond 32 bits for 0", "@eq 99999999999", b"99999999998", NO_MATCH, MATCH
    ),
    Difference("digits and underscores are parts of a word", "@containsWord ab", b"1ab_", NO_MATCH, MATCH),
    Difference(
        "it looks for a suffix in one step where several are needed, and so misses a phrase",
        "@pm xyzqq yzw zq",
        b"xyzq",
        captured(b"zq"),
        NO_MATCH,
    ),
    Difference(
        "it captures how far it had come into a longer phrase, not the phrase that it found",
        "@pm abcd bc",
        b"abc",
        captured(b"bc"),
        captured(b"abc"),
    ),
    Difference(
        "nothing above U+10FFFF is a character", "@validateUtf8Encoding", b"\xf4\x90\x80\x80", MATCH, NO_MATCH
    ),
    Difference(
        "an IPv4-mapped address is the IPv4 address that it holds",
        "@ipMatch 10.0.0.0/8",
        b"::ffff:10.1.2.3",
        MATCH,
        NO_MATCH,
    ),
    Difference("a zero byte ends no address", "@ipMatch 10.0.0.0/8", b"10.0.0.1\0x", NO_MATCH, MATCH),
    Difference(
        "there are captures to TX:9 and no more, as the manual has it",
        "@rx (a)(b)(c)(d)(e)(f)(g)(h)(i)(j)",
        b"abcdefghij",
        captured(b"abcdefghij", *(bytes([c]) for c in b"abcdefghi")),
        captured(b"abcdefghij", *(bytes([c]) for c in b"abcdefghij")),
    ),
    Difference(
        "it reports an empty match twice", "@rxGlobal ^", b"a\nb", captured(b"", b""), captured(b"", b"", b"")
    ),
    Difference(
        "it counts on from how many groups took part, and so writes over some",
        "@rxGlobal (x)?(a)",
        b"aa",
        Answer(matches=True, captures={0: b"a", 2: b"a", 3: b"a", 5: b"a"}),
        Answer(matches=True, captures={0: b"a", 2: b"a", 4: b"a"}),
    ),
    Difference(
        "the number that begins first is told, not one behind another candidate's end",
        r"@verifySSN \d{3}-?\d{2}-?\d{4}",
        b"000000000010100010",
        captured(b"001010001"),
        captured(b"010100010"),
    ),
]


@pytest.fixture(scope="module")
def operators() -> Operators:
    return Operators()


def ours(operators: Operators, operator: str | bytes, value: bytes) -> Answer:
    """Ask our operator, written as in a rule."""
    written = operator.encode() if isinstance(operator, str) else operator
    name, _, argument = written.removeprefix(b"@").partition(b" ")
    entries = argument.split() if name == b"pm" else ()
    answer = operators.ask(operators.make(name.decode(), argument, entries), value)
    assert isinstance(answer, Answer), answer
    return answer


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.why)
def test_both_differ_where_it_is_explained(operators: Operators, difference: Difference) -> None:
    assert ours(operators, difference.operator, difference.value) == difference.ours
    assert ask(difference.operator, difference.value) == difference.theirs


def texts(alphabet: bytes, most: int = 12) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), max_size=most).map(bytes)


def pieces(*words: bytes, most: int = 6) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(words), max_size=most).map(b"".join)


# An argument stands in a rule between quotation marks and is trimmed, so it is of plain letters here.
ARGUMENTS: Final = st.sampled_from([b"a", b"ab", b"aa", b"a.b", b"%d", b"ba", b"a,b,ab", b"-", b"a b"])
TEXTS: Final = st.one_of(
    texts(b"ab.,% d-"), texts(bytes(range(256))), pieces(b"ab", b"aba", b"\0", b" ", b"a.b")
)


@settings(max_examples=200)
@given(
    st.sampled_from(
        [b"beginsWith", b"contains", b"containsWord", b"endsWith", b"streq", b"strmatch", b"within"]
    ),
    ARGUMENTS,
    TEXTS,
)
def test_texts(operators: Operators, name: bytes, argument: bytes, value: bytes) -> None:
    operator = b"@" + name + b" " + argument
    if name == b"containsWord":
        value = re.sub(rb"[0-9_]", b"-", value)  # digits and underscores are parts of a word
    assert ours(operators, operator, value) == ask(operator, value)


NUMBERS: Final = st.one_of(
    st.integers(-30, 30).map(lambda number: b"%d" % number),
    st.integers(-(2**31), 2**31 - 1).map(lambda number: b"%d" % number),
    texts(b"0123+- x.\t\n\0", 6),
    pieces(b"0", b"00", b"x", b" ", b"+", b"-", b"15", b"\v", b"\x80", most=4),
)


@settings(max_examples=200)
@given(st.sampled_from([b"eq", b"ge", b"gt", b"le", b"lt"]), st.integers(-30, 30), NUMBERS)
def test_numbers(operators: Operators, name: bytes, argument: int, value: bytes) -> None:
    operator = b"@%s %d" % (name, argument)
    assert ours(operators, operator, value) == ask(operator, value)


@settings(max_examples=200)
@given(st.sampled_from([b"ge", b"gt", b"le", b"lt"]), st.integers(-(10**25), 10**25))
def test_numbers_beyond_32_bits(operators: Operators, name: bytes, value: int) -> None:
    operator = b"@%s 5" % name
    assert ours(operators, operator, b"%d" % value) == ask(operator, b"%d" % value)


PATTERNS: Final = [
    rb"^b$", rb"a.b", rb"(?i)AB", rb"(?s-m:^a.b$)", rb"(a)|(b)|(c)", rb"(a)?(b)(c)?", rb"\bab\b", rb"[^a]+$",
    rb"(?:(a)|b)+", rb"\x00", rb"[\x80-\xff]{2}", rb"a\Kb", rb"(?<=a)b", rb"\Aa|b\Z", rb"c\z", rb"(?=(ab))",
    rb"\s+$", rb"(?-s)a.b", rb"(?-m)^b", rb"()", rb"\R", rb"(?i)[a-z\xe9]{3}", rb"(a+)(?1)", rb"(.)\1",
]  # fmt: skip
SUBJECTS: Final = st.one_of(
    texts(b"abc\n"),
    texts(b"aAbB\r\n\0 \xe9\xc9\x85", 20),
    pieces(b"ab", b"a\nb", b"\r\n", b"c", b" "),
    st.binary(),
)


@settings(max_examples=200)
@given(st.sampled_from(PATTERNS), SUBJECTS)
def test_regular_expressions(operators: Operators, pattern: bytes, value: bytes) -> None:
    assert ours(operators, b"@rx " + pattern, value) == ask(b"@rx " + pattern, value)


@settings(max_examples=200)
@given(st.sampled_from([rb"(a)(b)?", rb"([ab])(x)?", rb"a|bb", rb"^.", rb".$", rb"(?i)[a-c](\n)?"]), SUBJECTS)
def test_all_matches_of_a_regular_expression(operators: Operators, pattern: bytes, value: bytes) -> None:
    theirs = ask(b"@rxGlobal " + pattern, value)
    first_ten = {number: text for number, text in theirs.captures.items() if number <= 9}
    assert ours(operators, b"@rxGlobal " + pattern, value) == Answer(theirs.matches, first_ten)


@settings(max_examples=200)
@given(
    st.lists(texts(b"abcABC", 5).filter(bool), min_size=1, max_size=6),
    st.one_of(texts(b"abcABC ", 16), texts(b"ab\0\xe1c", 12)),
)
def test_phrases(operators: Operators, phrases: list[bytes], value: bytes) -> None:
    """It may miss a phrase and name another one, so what it finds is there, and what is there we find."""
    operator = b"@pm " + b" ".join(phrases)
    folded = value.lower()
    ends = {
        folded.index(phrase.lower()) + len(phrase): phrase for phrase in phrases if phrase.lower() in folded
    }
    answer = ours(operators, operator, value)
    assert answer.matches == bool(ends)
    assert answer.matches or not ask(operator, value).matches
    if ends:
        upto = folded[: min(ends)]
        longest = max((p for p in phrases if upto.endswith(p.lower())), key=len)
        same = [phrase for phrase in phrases if phrase.lower() == longest.lower()]
        assert answer == captured(same[0])


RANGES: Final = [
    b"32-126",
    b"1-255",
    b"0",
    b"9,10,13,32-126,128-255",
    b"38,44-46,48-58,61,65-90,95,97-122",
    b"255",
]


@settings(max_examples=200)
@given(st.sampled_from(RANGES), st.one_of(st.binary(), texts(b"abc&=-.,:_ \t\n~\x7f")))
def test_byte_ranges(operators: Operators, argument: bytes, value: bytes) -> None:
    operator = b"@validateByteRange " + argument
    assert ours(operators, operator, value) == ask(operator, value)


@settings(max_examples=200)
@given(st.one_of(pieces(b"%", b"%4", b"%41", b"%zz", b"%fF", b"a", b"\0"), st.binary()))
def test_url_encoding(operators: Operators, value: bytes) -> None:
    assert ours(operators, "@validateUrlEncoding", value) == ask("@validateUrlEncoding", value)


ABOVE_UNICODE: Final = re.compile(rb"\xf4[\x90-\xbf]")


@settings(max_examples=200)
@given(
    st.one_of(
        st.lists(st.one_of(st.text(max_size=3).map(str.encode), st.binary(max_size=3)), max_size=5).map(
            b"".join
        ),
        texts(b"\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xed\xef\xf0\xf3\xf4\xf5\xf8\xffa", 5),
    )
)
def test_utf8(operators: Operators, value: bytes) -> None:
    mine, theirs = ours(operators, "@validateUtf8Encoding", value), ask("@validateUtf8Encoding", value)
    try:
        value.decode()
    except UnicodeDecodeError:
        assert mine == MATCH
        assert theirs == MATCH or ABOVE_UNICODE.search(value)
    else:
        assert mine == theirs == NO_MATCH


@settings(max_examples=200)
@given(
    st.sampled_from(["@detectSQLi", "@detectXSS"]),
    st.one_of(
        pieces(
            b"1",
            b"'",
            b'"',
            b" or ",
            b"=",
            b"--",
            b"/*",
            b" union select ",
            b"a",
            b"(",
            b")",
            b"#",
            b";",
            b"\0",
            most=10,
        ),
        pieces(
            b"<", b">", b"script", b"onload", b"=", b"/", b" ", b"'", b"x", b"!--", b"style", b"\0", most=10
        ),
        st.binary(),
    ),
)
def test_injection(operators: Operators, operator: str, value: bytes) -> None:
    assert ours(operators, operator, value) == ask(operator, value)


NUMBERED: Final = [
    b"@verifyCC \\d{13,16}",
    b"@verifyCC [0-9 -]{13,19}",
    b"@verifyCPF [0-9]{3}\\.?[0-9]{3}\\.?[0-9]{3}-?[0-9]{2}",
    b"@verifySSN \\d{3}-?\\d{2}-?\\d{4}",
    b"@verifySVNR \\d{4} ?\\d{6}",
]


@settings(max_examples=200)
@given(
    st.sampled_from(NUMBERED),
    st.one_of(
        texts(b"0123456789", 24),
        pieces(
            b"4111111111111111",
            b"529.982.247-25",
            b"078-05-1120",
            b"1237 010180",
            b"1",
            b"-",
            b"0",
            b"x",
            most=4,
        ),
        texts(b"012-. ", 16),
    ),
)
def test_numbers_with_a_check_digit(operators: Operators, operator: bytes, value: bytes) -> None:
    mine = ours(operators, operator, value)
    assert mine.matches == ask(operator, value).matches
    # Of several numbers each may tell another one.
    for number in mine.captures.values():
        assert ask(operator, number) == captured(number)


@settings(max_examples=200)
@given(
    st.sampled_from(
        [
            b"10.0.0.0/8",
            b"192.0.2.1,192.0.2.128/25",
            b"2001:db8::/33,::1",
            b"10.1.2.3/9",
            b"fe80::/10,127.0.0.0/8",
        ]
    ),
    st.one_of(
        st.ip_addresses().map(lambda address: str(address).encode()),
        st.tuples(
            st.sampled_from([b"10.%d.0.1", b"192.0.2.%d", b"2001:db8:%x::1", b"fe%02x::"]),
            st.integers(0, 255),
        ).map(lambda pair: pair[0] % pair[1]),
        texts(b"0123.:abf/ x", 12),
    ),
)
def test_addresses(operators: Operators, networks: bytes, value: bytes) -> None:
    operator = b"@ipMatch " + networks
    assert ours(operators, operator, value) == ask(operator, value)
