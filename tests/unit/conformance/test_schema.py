"""The reader of test files: both schemas, and what is wrong with a file."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.conformance.schema import SchemaError, TestFile, read

NEW = """
meta: {author: somebody}
rule_id: 942100
tests:
  - test_id: 1
    desc: a test
    stages:
      - input:
          dest_addr: 127.0.0.1
          port: 80
          method: POST
          headers: {Host: localhost, Content-Length: 3, Empty: }
          uri: /post
          version: HTTP/1.1
          data: a=b
        output: {log: {expect_ids: [942100], no_expect_ids: [942110]}}
      - input: {uri: /again}
        output: {status: 400}
"""
OLD = """
meta: {author: somebody, enabled: true, name: 942100.yaml, description: none}
tests:
  - test_title: 942100-1
    stages:
      - stage:
          input: {dest_addr: 127.0.0.1, stop_magic: true, data: [one, two]}
          output: {log_contains: 'id "942100"', status: [403, 400]}
  - test_title: 942100-5FN
    stages:
      - stage:
          input: {uri: /}
          output: {no_log_contains: 'id "942100"'}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "942100.yaml"
    path.write_text(dedent(text), encoding="utf-8")
    return path


def parsed(folder: Path, text: str) -> TestFile:
    return read(written(folder, text))


def test_the_schema_of_now(tmp_path: Path) -> None:
    (test,) = parsed(tmp_path, NEW).tests
    assert (test.name, test.rule, len(test.stages)) == ("942100-1", 942100, 2)
    first, second = test.stages
    assert first.input.headers == {"Host": "localhost", "Content-Length": "3", "Empty": ""}
    assert first.input.data == "a=b"
    assert first.input.autocomplete_headers
    assert first.output.log.expect_ids == (942100,)
    assert first.output.log.no_expect_ids == (942110,)
    assert (second.input.method, second.input.uri, second.input.version) == ("GET", "/again", "HTTP/1.1")
    assert second.output.status == (400,)


def test_the_older_schema(tmp_path: Path) -> None:
    first, second = parsed(tmp_path, OLD).tests
    assert (first.name, second.name) == ("942100-1", "942100-5FN")
    assert first.stages[0].input.data == "one\r\ntwo"
    assert first.stages[0].input.stop_magic
    assert first.stages[0].output.status == (403, 400)
    assert first.stages[0].output.log_contains == 'id "942100"'


def test_a_disabled_file_is_counted_and_not_run(tmp_path: Path) -> None:
    file = parsed(tmp_path, OLD.replace("enabled: true", "enabled: false"))
    assert file.tests == ()
    assert file.disabled == 2


def test_two_tests_of_one_name_are_told_apart(tmp_path: Path) -> None:
    file = parsed(tmp_path, OLD.replace("942100-5FN", "942100-1"))
    assert [test.name for test in file.tests] == ["942100-1", "942100-1 (2)"]


def test_a_file_without_tests(tmp_path: Path) -> None:
    assert parsed(tmp_path, "---\n# nothing yet\n").tests == ()


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("uri: /post", "url: /post", "url"),
        ("desc: a test", "descr: a test", "descr"),
        ("{status: 400}", "{}", "expects nothing"),
        ("{status: 400}", "{statuses: [400]}", "statuses"),
        ("data: a=b", "data: a=b\n          encoded_request: R0VU", "more than one"),
        ("method: POST", "follow_redirect: true", "follow_redirect"),
        ("test_id: 1", "test_id: one two", "is not named"),
        ("rule_id: 942100", "rule: 942100", "rule_id"),
        ("tests:", "tests: [", "942100.yaml"),
    ],
)
def test_what_is_no_test(tmp_path: Path, before: str, after: str, says: str) -> None:
    assert before in NEW
    with pytest.raises(SchemaError, match=says):
        parsed(tmp_path, NEW.replace(before, after, 1))


def test_a_test_that_gets_lost_is_an_error(tmp_path: Path) -> None:
    # YAML lets a key stand twice in some readers; whatever the reason, what was not read would never fail.
    hidden = NEW + "  # not read\nunread: |\n  - test_id: 2\n"
    with pytest.raises(SchemaError, match="holds 2 tests, 1 were read"):
        parsed(tmp_path, hidden)
