"""Files as statements, and statements as the parser tells them."""

from pathlib import Path

import pytest

from bartizan.rules.problems import Mistake, RulesError
from bartizan.rules.statements import Statement, parse, read_statements


def _read(folder: Path, text: str) -> list[Statement]:
    path = folder / "own.conf"
    path.write_bytes(text.encode())
    return list(read_statements(path))


def test_lines_are_joined_and_keep_the_number_of_the_first(tmp_path: Path) -> None:
    statements = _read(
        tmp_path, '# note\n\nSecMarker A\nSecRule ARGS "@rx a" \\\n    "id:1,\\ \n    pass"\nSecMarker B'
    )
    assert [(one.place.line, one.name, one.text) for one in statements] == [
        (3, "SecMarker", "A"),
        (4, "SecRule", 'ARGS "@rx a"     "id:1,    pass"'),
        (7, "SecMarker", "B"),
    ]


def test_windows_line_ends_are_line_ends(tmp_path: Path) -> None:
    statements = _read(tmp_path, 'SecAction \\\r\n  "id:1"\r\nSecMarker A\r\n')
    assert [(one.place.line, one.text) for one in statements] == [(1, '"id:1"'), (3, "A")]


@pytest.mark.parametrize("sign", ["\f", "\v", "\x1c", "\x85", "\u2028"])
def test_a_pattern_may_hold_what_python_takes_for_a_line_end(sign: str, tmp_path: Path) -> None:
    (statement,) = _read(tmp_path, f'SecRule ARGS "@rx a{sign}b" "id:1"\n')
    assert parse(f"{statement.name} {statement.text}")["operator_argument"] == f"a{sign}b"


def test_comments_may_go_on_over_comments(tmp_path: Path) -> None:
    assert [one.text for one in _read(tmp_path, "# a \\\n# b \\\n\nSecMarker A\n#end\\\n")] == ["A"]


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert _read(tmp_path, "") == []


def test_a_file_that_is_not_text_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.conf"
    path.write_bytes(b"SecMarker A\nSecMarker \xff\n")
    with pytest.raises(RulesError) as error:
        list(read_statements(path))
    assert str(error.value) == f"{path}:2: the file is not UTF-8 text"


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        RulesError, match=r"none\.conf:1: can't read the rule file: no such file or directory"
    ):
        list(read_statements(tmp_path / "none.conf"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("END", ("END",)),
        ('"a b" c', ("a b", "c")),
        ("'a b' \"c\"", ("a b", "c")),
        ('942550 "!REQUEST_COOKIES:/^_ga(?:_\\w+)?$/"', ("942550", "!REQUEST_COOKIES:/^_ga(?:_\\w+)?$/")),
        ("", ()),
    ],
)
def test_words(text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    (statement,) = _read(tmp_path, f"SecMarker {text}\n")
    assert statement.words() == words


@pytest.mark.parametrize(
    ("text", "operator", "argument"),
    [
        ('"@rx a b"', "@rx", "a b"),
        ('"@rx a\\"b"', "@rx", 'a\\"b'),
        ('"@rx \\x5c\\\\"', "@rx", "\\x5c\\\\"),
        ('"@rx   a"', "@rx", "a"),
        ('"@streq a "', "@streq", "a "),
        ('"@rx @import url"', "@rx", "@import url"),
        ('"@rx !@import\\" url"', "@rx", '!@import\\" url'),
        ('"@madeUp a"', "@madeUp", "a"),
        ('"@detectSQLi"', "@detectSQLi", ""),
        ('"a @rx b"', "", "a @rx b"),
        ("a", "", "a"),
        ('"!a"', "", "!a"),
    ],
)
def test_operators_are_told_as_they_are_written(text: str, operator: str, argument: str) -> None:
    read = parse(f'SecRule ARGS {text} "id:1"')
    assert (read["operator"], read["operator_argument"]) == (operator, argument)
    assert [action["act_name"] for action in read["actions"]] == ["id"]


def test_an_exclamation_mark_negates() -> None:
    assert parse('SecRule ARGS "!@rx a" "id:1"')["operator_negated"] is True
    assert parse('SecRule ARGS "@rx a" "id:1"')["operator_negated"] is False


def test_targets_may_stand_in_quotes() -> None:
    plain, quoted = parse('SecRule ARGS|!ARGS:x "@rx a"'), parse('SecRule "ARGS|!ARGS:x" "@rx a"')
    assert plain["variables"] == quoted["variables"]


def test_nothing_is_left_of_a_statement_before() -> None:
    with pytest.raises(Mistake):
        parse('SecRule ARGS "@rx a" "id:1,pass')
    assert [action["act_name"] for action in parse('SecAction "id:2"')["actions"]] == ["id"]


@pytest.mark.parametrize(
    "text", ['SecRule ARGS "@rx a', "SecRule ARGS", "SecAction", 'SecRule ARGS "@rx a" "id:1']
)
def test_half_a_rule_is_a_mistake(text: str) -> None:
    with pytest.raises(Mistake, match="not whole"):
        parse(text)


def test_the_parser_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parse('SecAction "id:1"')
    assert list(tmp_path.iterdir()) == []
