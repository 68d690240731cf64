"""What a rule asks of a value."""

from pathlib import Path

import pytest

from bartizan.rules.model import Macro, Operator
from bartizan.rules.names import OPERATORS
from bartizan.rules.operators import operator
from bartizan.rules.problems import Mistake, Refusal


@pytest.mark.parametrize(
    ("name", "argument", "read"),
    [
        ("@rx", 'a\\"b\\\\', Operator("rx", ('a\\"b\\\\',))),
        ("", "^a", Operator("rx", ("^a",))),
        ("", "!^a", Operator("rx", ("^a",), negated=True)),
        ("@RX", "a", Operator("rx", ("a",))),
        ("@rx", "a{2}%{2}", Operator("rx", ("a{2}%{2}",))),
        ("@rx", "^%{tx.Sets}$", Operator("rx", ("^", Macro("TX", "sets"), "$"))),
        ("@streq", 'a\\"b ', Operator("streq", ('a"b ',))),
        ("@contains", '<h1 style=\\"x\\">', Operator("contains", ('<h1 style="x">',))),
        ("@eq", " 5 ", Operator("eq", ("5",))),
        ("@lt", "-1", Operator("lt", ("-1",))),
        ("@ge", "%{tx.max}", Operator("ge", (Macro("TX", "max"),))),
        ("@within", "%{tx.allowed_methods}", Operator("within", (Macro("TX", "allowed_methods"),))),
        ("@detectSQLi", "", Operator("detectSQLi", ())),
        ("@validateByteRange", "1-255, 0", Operator("validateByteRange", ("1-255, 0",))),
        ("@pm", "b a  b", Operator("pm", ("b a  b",), entries=("b", "a"))),
        (
            "@ipMatch",
            "127.0.0.1, ::1,10.1.2.3/8",
            Operator(
                "ipMatch", ("127.0.0.1, ::1,10.1.2.3/8",), entries=("127.0.0.1/32", "::1/128", "10.0.0.0/8")
            ),
        ),
    ],
)
def test_operators(name: str, argument: str, read: Operator) -> None:
    assert operator(name, argument, Path()) == read


@pytest.mark.parametrize("name", ["@pmFromFile", "@pmf"])
def test_phrases_of_a_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / "words.data"
    file.write_bytes(b"# note\n\none\r\ntwo words \n  # note\n one\none\n   \nlast")
    read = operator(name, " words.data ", tmp_path, negated=True)
    assert read == Operator(
        "pmFromFile",
        ("words.data",),
        negated=True,
        file=file,
        entries=("one", "two words ", " one", "last"),
    )


def test_networks_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "networks.data"
    file.write_text("# note\n192.0.2.7/24 # office\n2001:db8::/32\n192.0.2.0/24\n", encoding="utf-8")
    assert operator("@ipMatchF", "networks.data", tmp_path).entries == ("192.0.2.0/24", "2001:db8::/32")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "words.data").write_bytes(b"\xff")
    with pytest.raises(Mistake, match=r"can't read .*words\.data: it is not UTF-8 text"):
        operator("@pmFromFile", "words.data", tmp_path)


@pytest.mark.parametrize("argument", ["0", "255", "0-255", "9,10,13,32-126", "7-7"])
def test_bytes(argument: str) -> None:
    assert operator("@validateByteRange", argument, Path()).argument == (argument,)


@pytest.mark.parametrize("argument", ["256", "0-256", "-1", "1-", "2-1", "a", "1,,2", "1;2"])
def test_what_are_no_bytes(argument: str) -> None:
    with pytest.raises(Mistake, match="write bytes from 0 to 255"):
        operator("@validateByteRange", argument, Path())


@pytest.mark.parametrize("name", ["rbl", "geoLookup", "fuzzyHash", "inspectFile", "rsub", "validateSchema"])
def test_what_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match=f"the operator @{name} is refused: "):
        operator(f"@{name}", "x", Path())


def test_every_known_operator_is_read_or_asks_for_another_argument(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("192.0.2.1\n", encoding="utf-8")
    arguments = ("", "x", "1", "192.0.2.1")
    for name in OPERATORS.values():
        read = []
        for argument in arguments:
            try:
                read.append(operator(f"@{name}", argument, tmp_path).name)
            except Mistake:
                continue
        assert read, name
        assert set(read) == {name}
