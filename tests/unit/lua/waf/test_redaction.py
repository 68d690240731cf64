"""lua/bartizan/waf/redaction.lua: what the audit log may show of what a rule matched."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lua import Lua

JWT: Final = "eyJhbGciOiJSUzUxMiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
# Test numbers that the card networks publish.
VISA: Final = "4111111111111111"
AMEX: Final = "378282246310005"
MASK: Final = "[redacted]"


@pytest.fixture(scope="module")
def redaction() -> Any:
    return Lua(encoding="latin-1").require("bartizan.waf.redaction")


@pytest.mark.parametrize(
    ("variable", "part", "whole", "said"),
    [
        ("ARGS:q", "' or 1=1", "x' or 1=1 --", "' or 1=1"),
        ("ARGS:q", "' or 1=1", None, "' or 1=1"),
        ("ARGS:q", "", "x", ""),
        ("ARGS:password", "' or 1=1", "x' or 1=1 --", MASK),
        ("ARGS:json.user.password", "' or 1=1", "x' or 1=1 --", MASK),
        ("ARGS_GET:user[pin]", "' or 1=1", "' or 1=1", MASK),
        ("ARGS_POST:api_key", "x", "x", MASK),
        ("ARGS_NAMES:password", "password", "password", "password"),
        ("REQUEST_COOKIES:connect.sid", "s%3A", "s%3Aabc", MASK),
        ("REQUEST_COOKIES:wordpress_logged_in_session", "a", "a", MASK),
        ("REQUEST_COOKIES:draft", "<script", "<script>", "<script"),
        ("REQUEST_HEADERS:authorization", "Basic", "Basic dXNlcjpwYXNz", MASK),
        ("REQUEST_HEADERS:proxy-authorization", "Basic", "Basic dXNlcjpwYXNz", MASK),
        ("REQUEST_HEADERS:x-api-key", "k", "k", MASK),
        ("REQUEST_HEADERS:user-agent", "sqlmap", "sqlmap/1.7", "sqlmap"),
        ("REQUEST_HEADERS:cookie", "a=1; sid=s3cret", "a=1; sid=s3cret; b=2", f"a=1; sid={MASK}"),
        ("REQUEST_BODY", "password=hunter2", "user=ada&password=hunter2&x=1", f"password={MASK}"),
        ("REQUEST_BODY", "password=hun", "user=ada&password=hunter2&x=1", f"password={MASK}"),
        ("REQUEST_BODY", "word=hun", "user=ada&password=hunter2&x=1", MASK),
        ("REQUEST_BODY", "er2&token=abc", "password=hunter2&token=abc", MASK),
        ("REQUEST_BODY", "user=ada", "user=ada&password=hunter2&x=1", "user=ada"),
        ("REQUEST_BODY", '"pin" : "1234"', '{"pin" : "1234"}', f'"pin" : "{MASK}"'),
        ("REQUEST_BODY", "1234", '{"pin" : "1234"}', MASK),
        ("ARGS:next", JWT, f"x {JWT}", MASK),
        ("ARGS:next", JWT.lower(), f"x {JWT.lower()}", MASK),
        ("ARGS:next", JWT[10:30], f"x {JWT}", MASK),
        ("ARGS:next", "http://ada:pw@host/", "http://ada:pw@host/", f"http://{MASK}@host/"),
        ("ARGS:note", "Bearer abc.def", "x Bearer abc.def", f"Bearer {MASK}"),
        ("ARGS:q", "http:/ada:pw@host/x", "http:/ada:pw@host/x", f"http:/{MASK}@host/x"),
        ("ARGS:q", "or password='hunter2'", "' or password='hunter2' --", f"or password='{MASK}'"),
        ("ARGS:q", "password = hunter2", "my password = hunter2 ok", f"password = {MASK}"),
        ("ARGS:q", "{'pin':'1234','q':1}", "{'pin':'1234','q':1}", f"{{'pin':'{MASK}','q':1}}"),
        (
            "ARGS:q",
            "<password>hunter2</password>",
            "<password>hunter2</password>",
            f"<password>{MASK}</password>",
        ),
        ("ARGS:q", "'a':'b' <q>text</q> x = y", "'a':'b' <q>text</q> x = y", "'a':'b' <q>text</q> x = y"),
        ("ARGS:note", f"card {VISA};", f"card {VISA};", f"card {MASK};"),
        ("ARGS:note", "4111 1111 1111 1111", "4111 1111 1111 1111", MASK),
        ("ARGS:note", "4111-1111-1111-1111 or", "12 4111-1111-1111-1111 or", f"{MASK} or"),
        ("ARGS:note", f"{AMEX}", f"x{AMEX}y", MASK),
        ("ARGS:note", VISA[4:12], f"card {VISA}", MASK),
        ("ARGS:note", "4111111111111112", "4111111111111112", "4111111111111112"),
        ("ARGS:note", "+49 30 901820", "+49 30 901820", "+49 30 901820"),
    ],
)
def test_what_is_shown(redaction: Any, variable: str, part: str, whole: str | None, said: str) -> None:
    assert redaction.shown(variable, part, whole) == said


@pytest.mark.parametrize(
    ("variable", "part", "whole", "data", "said"),
    [
        ("ARGS:q", "or 1", "x or 1", "or 1 in ARGS:q: x or 1", "or 1 in ARGS:q: x or 1"),
        ("ARGS:q", "or 1", "x or 1", "", ""),
        ("ARGS:pin", "or 1", "x or 1", "or 1 in ARGS:pin: x or 1", MASK),
        ("TX:score", "5", "5", "5 in REQUEST_COOKIES:sid: s3cret", MASK),
        ("ARGS:q", JWT[8:20], f"x {JWT}", f"{JWT[8:20]} in ARGS:q: x {JWT}", MASK),
        ("ARGS:q", "x", "x", f"in x: {JWT} and x", f"in x: {MASK} and x"),
        ("ARGS:q", "x", "x", "in x: pin=1234 and x", f"in x: pin={MASK} and x"),
        ("ARGS:q", "1111 1", f"{VISA[:4]} 1111 1111 1111", "1111 1", MASK),
    ],
)
def test_what_a_rule_says(redaction: Any, variable: str, part: str, whole: str, data: str, said: str) -> None:
    assert redaction.data(variable, part, whole, data) == said


def test_what_a_rule_says_is_cut(redaction: Any) -> None:
    said = redaction.data("ARGS:q", "b", "b" * 9000, "a " + "b" * 9000)
    assert said == "a "
    said = redaction.data("ARGS:q", "b", "b b " * 3000, "b " * 9000)
    assert said == ("b " * 9000)[: redaction.DATA_SHOWN] + "..."
    # Secrets before it shrink, so the end of what is looked at may come into view.
    said = redaction.data("ARGS:q", "b", "b", (f"{JWT} " * 200)[: redaction.DATA + 20])
    assert JWT[:12] not in said


def test_a_long_part_is_cut(redaction: Any) -> None:
    part = "<script>" * 1000
    shown = redaction.shown("ARGS:q", part, f"x{part}y")
    assert shown == part[: redaction.SHOWN] + "..."


def test_a_secret_at_the_end_of_what_is_looked_at(redaction: Any) -> None:
    """Where the part is cut in the middle of a token, what is left of it is no token any more."""
    part = "a" * (redaction.PART - 10) + JWT
    assert redaction.shown("ARGS:q", part, f" {part} ") == MASK


@given(
    before=st.text("ab =&;'\" <", max_size=20),
    after=st.text("ab =&;'\" <", max_size=20),
    secret=st.sampled_from([JWT, VISA, AMEX]),
    cut=st.tuples(st.integers(0, 80), st.integers(0, 80)),
)
def test_no_piece_of_a_secret_is_shown(
    redaction: Any, before: str, after: str, secret: str, cut: tuple[int, int]
) -> None:
    """Whatever the rule took of the value."""
    whole = f"{before} {secret} {after}"
    part = whole[min(cut) : max(cut)]
    shown = redaction.shown("ARGS:q", part, whole)
    assert not any(secret[start : start + 5] in shown for start in range(len(secret) - 5))


@given(st.text("0123456789 -", max_size=60))
def test_digits_of_all_kinds_are_read(redaction: Any, text: str) -> None:
    shown = redaction.mask(text)
    assert shown.replace(MASK, "").strip("0123456789 -") == ""


def test_a_body_of_digits_takes_no_time(redaction: Any) -> None:
    # Each beginning is read to the end of a number at most, so this ends.
    text = "4 " * 50_000
    assert len(redaction.mask(text)) > 0


@pytest.mark.parametrize(
    "text",
    ["a" * 200_000 + " =", "eyJa" * 50_000, "eyJa.=" * 30_000, "=" + "a" * 50 * 3_000, "<a" * 90_000 + ">"],
)
def test_long_texts_take_time_in_proportion(redaction: Any, text: str) -> None:
    """Each of these once took the square of its length, which is minutes."""
    assert redaction.mask(text) == text
