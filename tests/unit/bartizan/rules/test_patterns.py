"""What stands for an operator in a database: a miss is a bug, a hit too many is not."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.rules.hyperscan import Expression, Scanner
from bartizan.rules.model import Macro, Operator
from bartizan.rules.patterns import PLAIN, RX, Patterns, Taken, patterns_of, plain
from tests.support.pcre2 import search


def _scanner(patterns: Patterns | None) -> Scanner:
    assert patterns is not None
    return Scanner([Expression(1, *each) for each in patterns.expressions])


def _hits(patterns: Patterns | None, value: bytes) -> bool:
    scanner = _scanner(patterns)
    try:
        return bool(scanner.numbers(value))
    finally:
        scanner.close()


def _operator(name: str, argument: str = "", entries: tuple[str, ...] = ()) -> Operator:
    return Operator(name, (argument,) if argument else (), entries=entries)


@pytest.mark.parametrize(
    ("operator", "hit", "missed"),
    [
        (_operator("rx", "^a.b$"), [b"a\nb", b"x\na.b\ny", b"acb"], [b"ab", b"xacb"]),
        (_operator("rx", "(?i)select"), [b"SeLeCt"], [b"selec"]),
        (_operator("rx", "^$"), [b"", b"\n", b"a\n\nb"], [b"a"]),
        (_operator("rx", "\0a"), [b"\0a"], [b"a"]),
        (_operator("rx", "né"), [b"n\xc3\xa9"], [b"n\xe9"]),
        (
            _operator("pm", entries=("Cat", "a.b", "<script")),
            [b"concat", b"A.B", b"<SCRIPT>"],
            [b"ca t", b"axb"],
        ),
        (_operator("contains", "a.B"), [b"xa.Bx"], [b"a.b", b"axB"]),
        (_operator("containsWord", "cat"), [b"a cat", b"concat"], [b"ca t"]),
        (_operator("strmatch", "a*b"), [b"a*b"], [b"axb"]),
        (_operator("streq", "GET"), [b"GET"], [b"get", b"GETS", b" GET", b"x\nGET", b"GET\n", b""]),
        (_operator("beginsWith", "/a"), [b"/a", b"/ab"], [b"x/a", b"x\n/a"]),
        (_operator("endsWith", ".pdf"), [b"a.pdf", b".pdf"], [b".pdf ", b".pdf\n", b"xpdf"]),
        (_operator("validateByteRange", "1-255"), [b"a\0b"], [b"", b"\x01\xff"]),
        (_operator("validateByteRange", "32-126, 9"), [b"\n", b"\x80"], [b"a\tb~ "]),
        (_operator("validateUrlEncoding"), [b"%", b"a%4", b"%4g", b"%g0", b"%%20"], [b"", b"%20a", b"%fF"]),
        (_operator("validateUtf8Encoding"), [b"\xc3\x28", b"\xff"], [b"", b"ascii"]),
    ],
)
def test_what_is_hit(operator: Operator, hit: list[bytes], missed: list[bytes]) -> None:
    patterns = patterns_of(operator)
    assert [value for value in hit if not _hits(patterns, value)] == []
    assert [value for value in missed if _hits(patterns, value)] == []


@pytest.mark.parametrize(
    "operator",
    [
        Operator("rx", ("a",), negated=True),
        Operator("rx", ("a", Macro("TX", "x"))),
        Operator("detectSQLi", ()),
        Operator("within", ("a b",)),
        Operator("ipMatch", ("10.0.0.0/8",)),
        Operator("gt", ("5",)),
        Operator("rx", (r"a\n^b",)),
        Operator("validateByteRange", ("x",)),
    ],
)
def test_what_nothing_can_stand_for(operator: Operator) -> None:
    assert patterns_of(operator) is None


def test_a_range_that_allows_all_matches_nothing() -> None:
    assert patterns_of(_operator("validateByteRange", "0-255")) == Patterns((), Taken.WHOLE)


_EVASION = r"[\"'\)\[\x5c]*(?:(?:\|\||&&)[\s\x0b]*\$[!#\(\*\-0-9\?@_a-\{]*)?\x5c?"


def _evading(words: list[str]) -> str:
    return "|".join(_EVASION.join(word) for word in words)


WRAPPERS = [
    "busybox",
    "command",
    "timeout",
    "ionice",
    "stdbuf",
    "nohup",
    "strace",
    "ltrace",
    "setarch",
    "unshare",
]
COMMANDS = [f"{a}{b}prun" for a in "abcdefgh" for b in "klmno"]
LARGE = rf"(?i)(?:^|[\n;=`]|(?:{_evading(WRAPPERS)})[\s]+.*)[\s]*(?:\w+/)?(?:{_evading(COMMANDS)})\b"


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("a(?:b|c)+", Taken.WHOLE),
        ("(?i)a(?!b)[a-z]", Taken.WEAKENED),
        ("a++b", Taken.WEAKENED),
        (r"(a)\1(?=b)", Taken.PREFILTER),
        (rf"(?:{_evading([word + word[::-1] for word in COMMANDS])})[0-9]+x", Taken.PIECES),
        (LARGE, Taken.CUT),
    ],
)
def test_what_hyperscan_does_not_take_whole_is_made_less(pattern: str, taken: Taken) -> None:
    patterns = patterns_of(_operator("rx", pattern))
    assert patterns is not None
    assert patterns.taken is taken


@pytest.mark.parametrize(
    ("value", "hit"),
    [
        (b";akprun", True),
        (b"x=a'k'p'r'u'n -la", True),
        (b"BUSYBOX akprun", True),
        (b"b\\usybox \\akprun", True),
        (b"akprun", True),
        (b"the akprun", False),
        (b"a harmless text; it has nothing", False),
    ],
)
def test_a_large_pattern_is_hit_where_it_matches_and_nearly_nowhere_else(value: bytes, hit: bool) -> None:
    assert search(LARGE, value) is hit
    assert _hits(patterns_of(_operator("rx", LARGE)), value) is hit


def _readable(pattern: str) -> str:
    """Return a pattern without what hypothesis can't make texts of; some of them match the whole pattern."""
    for text, simpler in (
        ("(?!b)", ""),
        ("(?<!x)", ""),
        ("++", "+"),
        ("(?>", "(?:"),
        ("[[:alpha:]]", "[a-z]"),
    ):
        pattern = pattern.replace(text, simpler)
    return pattern


HARD = [
    r"(?i)\bunion\b[\s\x0b]+(?:all[\s\x0b]+)?select", r"^(?:[^;]+;){2}$",
    r"(?:^|[^\x5c])\x5c[cdeg]", r"%[0-9a-fA-F]{2}",
    r"(?i)<[^>]*(?:on\w+)\s*=", r"a(?!b)\w+", r"(?<!x)y++z?", r"(?>ab|a)b", r"[^\w\s]{3,}",
    r"\.[^.~]+~(?:/.*|)$", r"[[:alpha:]]{2}\d?$", r"(?i:ab)C|d{2,3}?e", r"^\s*$|^x", r"(a|b)\1",
]  # fmt: skip


@pytest.mark.parametrize("pattern", HARD)
def test_whatever_pcre2_matches_is_hit(pattern: str) -> None:
    patterns = patterns_of(_operator("rx", pattern))
    whole = _scanner(patterns)
    assert patterns is not None
    small = [(made, flags) for text, flags in patterns.expressions if (made := plain(text)) is not None]
    in_plain = Scanner([Expression(1, *each) for each in small]) if small else None
    like_it = st.from_regex(re.compile(_readable(pattern), re.DOTALL | re.MULTILINE)).map(str.encode)
    near = st.binary(max_size=12) | st.text(alphabet="ab xy;<>on=%4\\cde\n.~/", max_size=16).map(str.encode)

    @settings(max_examples=150, deadline=None)
    @given(like_it | near)
    def check(value: bytes) -> None:
        if search(pattern, value):
            assert whole.numbers(value)
            assert not set(value) <= PLAIN or (in_plain is not None and in_plain.numbers(value))
        elif patterns.taken is Taken.WHOLE and not value.endswith(b"\n"):
            # After a last newline PCRE2's ^ is no beginning, and Hyperscan's is.
            assert not whole.numbers(value)

    check()
    whole.close()
    if in_plain is not None:
        in_plain.close()


@pytest.mark.parametrize(
    "atom",
    [r"\v", r"[\v]", r"\h", r"\s", r"\W", r"\H", r"\V", ".", r"[^\v]", r"[[:alpha:]]",
     r"[^\w\x80-\xff]", r"[^a-z0-9 _.,@:+!?\-\x80-\xff]", r"\x85", r"[\x21-\x2f]"],
)  # fmt: skip
def test_no_plain_byte_is_missed_that_an_atom_matches(atom: str) -> None:
    text = plain(f"a{atom}z".encode())
    scanner = Scanner([Expression(1, text, RX)]) if text is not None else None
    for byte in PLAIN:
        value = b"a%cz" % byte
        found = scanner is not None and bool(scanner.numbers(value))
        assert found is search(f"a{atom}z", value), value
    if scanner is not None:
        scanner.close()
