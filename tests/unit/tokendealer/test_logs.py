"""The log's two forms."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tokendealer.logs import configure_logging


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def fail() -> None:
    secret = "the-value-of-a-variable"
    raise RuntimeError(f"a failure of {len(secret)}")


def test_json_is_one_object_a_line() -> None:
    stream = io.StringIO()
    configure_logging("json", stream)
    log = structlog.get_logger("tokendealer")
    log.info("token_issued", client_id="a\nb")
    log.debug("not_shown")
    logging.getLogger("a.library").warning("from a %s", "library")
    logging.getLogger("a.library").info("not shown")
    one, two = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (one["event"], one["client_id"], one["level"]) == ("token_issued", "a\nb", "info")
    assert (two["event"], two["level"]) == ("from a library", "warning")
    assert one["service"] == two["service"] == "tokendealer"
    assert one["timestamp"].endswith("Z")


def test_lines_for_people() -> None:
    stream = io.StringIO()
    configure_logging("readable", stream)
    structlog.get_logger("tokendealer").info("token_issued", client_id="reader", path="/a\x1b[31m\x07\u202e")
    logging.getLogger("a.library").warning("from a library")
    one, two = stream.getvalue().splitlines()
    assert "token_issued" in one
    assert "client_id=reader" in one
    assert "\x1b" not in one
    assert "from a library" in two


@pytest.mark.parametrize("form", ["json", "readable"])
def test_a_trace_shows_no_values(form: str) -> None:
    stream = io.StringIO()
    configure_logging("json" if form == "json" else "readable", stream)
    try:
        fail()
    except RuntimeError as error:
        structlog.get_logger("tokendealer").error("request_failed", exc_info=error)
        logging.getLogger("a.library").exception("failed")
    text = stream.getvalue()
    assert text.count("a failure of 23") == 2
    assert "test_logs.py" in text
    assert "the-value-of-a-variable" not in text.replace('secret = "the-value-of-a-variable"', "")
    assert "Traceback" in text
