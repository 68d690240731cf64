"""Text with macros."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.rules.macros import lowered, parts, shown
from bartizan.rules.model import Macro, Parts
from bartizan.rules.problems import Mistake, Refusal


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("%{MATCHED_VAR}", (Macro("MATCHED_VAR"),)),
        ("%{matched_var_name}: %{Matched_Var}", (Macro("MATCHED_VAR_NAME"), ": ", Macro("MATCHED_VAR"))),
        ("%{TX.Foo_Bar}%{tx.0}", (Macro("TX", "foo_bar"), Macro("TX", "0"))),
        ("%{tx:a}", (Macro("TX", "a"),)),
        ("%{request_headers.Host}", (Macro("REQUEST_HEADERS", "Host"),)),
        ("|%{ARGS._charset_}|", ("|", Macro("ARGS", "_charset_"), "|")),
        ("%{rule.MSG}", (Macro("RULE", "msg"),)),
        ("%{tx.paramcounter_args:a.b}", (Macro("TX", "paramcounter_args:a.b"),)),
        ("a%{2}", ("a%{2}",)),
        ("100% {x} %", ("100% {x} %",)),
    ],
)
def test_text_is_taken_apart(text: str, read: Parts) -> None:
    assert parts(text) == read


def test_the_names_of_tx_are_lower_case_whatever_is_fixed_in_them() -> None:
    assert lowered("ParamCounter_%{MATCHED_VAR_NAME}_X") == ("paramcounter_", Macro("MATCHED_VAR_NAME"), "_x")


@pytest.mark.parametrize("text", ["%{tx.a", "%{tx.}", "%{REMOTE_ADDR x}", "%{tx.%{tx.a}}"])
def test_a_macro_that_is_none_is_a_mistake(text: str) -> None:
    with pytest.raises(Mistake, match="not closed"):
        parts(text)


def test_what_is_refused_is_refused_in_macros_too() -> None:
    with pytest.raises(Refusal, match="the variable ip is refused"):
        parts("%{ip.counter}")


_MEMBER = st.text("abcdefghijklmnopqrstuvwxyz_0123456789-", min_size=1)
_MACROS = st.one_of(
    st.sampled_from([Macro("MATCHED_VAR"), Macro("REMOTE_ADDR")]),
    st.builds(Macro, st.sampled_from(["TX", "ARGS"]), _MEMBER),
)
_TEXT = st.text(st.characters(exclude_characters="%"), min_size=1)


@given(st.lists(st.one_of(_TEXT, _MACROS)))
def test_what_is_shown_is_read_again(pieces: list[str | Macro]) -> None:
    joined: list[str | Macro] = []
    for piece in pieces:
        if joined and isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    assert parts(shown(tuple(pieces))) == tuple(joined)


@given(st.text("%{}.:aTXtx 0"))
def test_any_text_is_read_or_is_a_mistake(text: str) -> None:
    try:
        read = parts(text)
    except Mistake:
        return
    assert shown(read).lower().replace(":", ".") == text.lower().replace(":", ".")
