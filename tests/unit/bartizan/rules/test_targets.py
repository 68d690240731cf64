"""What a rule looks at."""

import pytest

from bartizan.rules.model import Variable
from bartizan.rules.problems import Mistake, Refusal
from bartizan.rules.targets import one_target, target_list


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ARGS", [Variable("ARGS")]),
        ("args|Request_Body", [Variable("ARGS"), Variable("REQUEST_BODY")]),
        ("ARGS,REQUEST_BODY", [Variable("ARGS"), Variable("REQUEST_BODY")]),
        ("ARGS:Foo", [Variable("ARGS", "Foo")]),
        ("REQUEST_HEADERS:User-Agent", [Variable("REQUEST_HEADERS", "User-Agent")]),
        ("ARGS|!ARGS:x", [Variable("ARGS"), Variable("ARGS", "x", excluded=True)]),
        ("&ARGS", [Variable("ARGS", count=True)]),
        ("&TX:Foo", [Variable("TX", "foo", count=True)]),
        ("TX:'/^Id_/'", [Variable("TX", "^Id_", regex=True)]),
        (
            "!REQUEST_COOKIES:/^_ga(?:_\\w+)?$/",
            [Variable("REQUEST_COOKIES", "^_ga(?:_\\w+)?$", regex=True, excluded=True)],
        ),
        ("ARGS:'/a|b/'", [Variable("ARGS", "a|b", regex=True)]),
        ("ARGS:'a,b'", [Variable("ARGS", "a,b")]),
        ("XML:/*", [Variable("XML", "/*")]),
        ("XML://@*", [Variable("XML", "//@*")]),
    ],
)
def test_lists_of_targets(text: str, read: list[Variable]) -> None:
    assert list(target_list(text)) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ARGS", Variable("ARGS")),
        ("ARGS:a=b;c", Variable("ARGS", "a=b;c")),
        ("TX:/^A/", Variable("TX", "^A", regex=True)),
        ("XML:/*", Variable("XML", "/*")),
    ],
)
def test_one_target(text: str, read: Variable) -> None:
    assert one_target(text) == read


@pytest.mark.parametrize("text", ["", "!ARGS", "&ARGS", "ARGS:", "AR GS", "ARGS|FILES"])
def test_what_is_not_one_target(text: str) -> None:
    with pytest.raises(Mistake, match="is no target"):
        one_target(text)


@pytest.mark.parametrize("text", ["ARGS:/a", "ARGS:/", "ARGS://", "ARGS:'a", "ARGS:''"])
def test_a_selector_must_be_closed_and_hold_something(text: str) -> None:
    with pytest.raises(Mistake, match="is not closed"):
        one_target(text)


@pytest.mark.parametrize("text", ["IP:x", "SESSION", "GEO:COUNTRY_CODE", "ENV:x", "USERID"])
def test_what_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="is refused: "):
        one_target(text)
