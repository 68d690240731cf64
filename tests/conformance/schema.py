"""The schema of go-ftw's test files, the one of now and the one before it, read into one form.

The formats are those of coreruleset/ftw-tests-schema 2.2 (`test_id`, `output.log`) and of the older FTW
(`test_title`, a `stage` in each stage, `log_contains`). A key that neither knows is an error: a test that is
sent without it would prove something else.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

_TITLE: Final = re.compile(r"(\d+)-\w+")
_TEST: Final = re.compile(r"^\s*(?:-\s+)?[\"']?(?:test_id|test_title)[\"']?\s*:", re.MULTILINE)


class SchemaError(Exception):
    """A test file is not as the schema has it; the message says where."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _text(value: Any) -> Any:
    # YAML reads `Content-Length: 0` as a number, and a header without a value as nothing.
    if value is None:
        return ""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _lines(value: Any) -> Any:
    # The older schema lets the body be a list of lines.
    return "\r\n".join(map(str, value)) if isinstance(value, list) else _text(value)


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Text = Annotated[str, BeforeValidator(_text)]


class Input(_Part):
    """What is sent. Address, port and protocol are those of the gateway, whatever stands in the file.

    Attributes:
        method: of the request line.
        uri: the same.
        version: the same.
        headers: in their order.
        data: the body.
        encoded_data: the body in base64.
        encoded_request: all of the request in base64, instead of everything else.
        raw_request: all of the request (older schema).
        autocomplete_headers: whether Content-Type, Content-Length and Connection are added where they lack.
        stop_magic: the opposite of that (older schema).
        of_older_schema: whether it is of the older schema, whose runners give an empty POST no length.
    """

    dest_addr: str = "localhost"
    port: int = 80
    protocol: str = "http"
    method: Text = "GET"
    uri: Text = "/"
    version: Text = "HTTP/1.1"
    headers: dict[str, Text] = {}
    data: Annotated[str | None, BeforeValidator(_lines)] = None
    encoded_data: str | None = None
    encoded_request: str | None = None
    raw_request: str | None = None
    autocomplete_headers: bool = True
    stop_magic: bool = False
    virtual_host_mode: bool = False
    save_cookie: bool = False
    follow_redirect: bool = False
    of_older_schema: bool = False

    @model_validator(mode="after")
    def _is_one_request(self) -> "Input":
        given = [self.encoded_request or None, self.raw_request or None]
        if sum(value is not None for value in (*given, self.data or self.encoded_data)) > 1:
            raise ValueError("has more than one of data, encoded_request and raw_request")
        if self.follow_redirect or self.save_cookie:
            raise ValueError("asks for follow_redirect or save_cookie, which this runner does not do")
        return self


class Log(_Part):
    """What the log must hold.

    Attributes:
        expect_ids: all of these rules.
        no_expect_ids: none of these.
        match_regex: a line that matches.
        no_match_regex: no line that matches.
    """

    expect_ids: tuple[int, ...] = ()
    no_expect_ids: tuple[int, ...] = ()
    match_regex: str | None = None
    no_match_regex: str | None = None


class Output(_Part):
    """What must come of it.

    Attributes:
        status: any of these; none: whatever it is.
        log: what the log must hold.
        log_contains: the same (older schema), a regular expression.
        no_log_contains: the same.
        response_contains: a regular expression for the answer.
        expect_error: that there is no answer that can be read.
        isolated: that no other rule than the expected one matched.
        retry_once: is for logs that come late; here they are waited for.
    """

    status: Annotated[tuple[int, ...], BeforeValidator(_several)] = ()
    log: Log = Log()
    log_contains: str | None = None
    no_log_contains: str | None = None
    response_contains: str | None = None
    expect_error: bool = False
    isolated: bool = False
    retry_once: bool = False

    @model_validator(mode="after")
    def _expects_something(self) -> "Output":
        told = (*self.log.expect_ids, *self.log.no_expect_ids, self.log.match_regex, self.log.no_match_regex)
        texts = (self.log_contains, self.no_log_contains, self.response_contains)
        if not (self.status or self.expect_error or any(told) or any(texts)):
            raise ValueError("expects nothing, so nothing could fail")
        return self


class Stage(_Part):
    """One request of a test, and what must come of it."""

    description: str = ""
    input: Input
    output: Output

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        if not isinstance(value, dict) or set(value) != {"stage"}:
            return value
        stage = value["stage"]
        return stage | {"input": stage["input"] | {"of_older_schema": True}}


class Test(_Part):
    """A test.

    Attributes:
        name: how people call it: the rule that it is about, and its number there.
        rule: the rule.
        stages: its requests, which are sent in order.
    """

    # It is no test of pytest's.
    __test__ = False

    name: str
    rule: int
    stages: tuple[Stage, ...]


class TestFile(_Part):
    """A file of tests.

    Attributes:
        tests: what it holds.
        disabled: how many it holds that it says not to run.
    """

    __test__ = False

    tests: tuple[Test, ...]
    disabled: int = 0


def read(path: Path) -> TestFile:
    """Read a file.

    Raises:
        SchemaError: if it is not as the schema has it, or if not every test that it holds was found in it.
    """
    text = path.read_text(encoding="utf-8")
    try:
        document = YAML(typ="safe").load(text)
        tests = tuple(_told_apart(_tests(document, path))) if document else ()
    except (YAMLError, ValidationError, KeyError, TypeError, ValueError) as error:
        raise SchemaError(f"{path}: {error}") from error
    # Counted in another way than they were read: a test that is lost on the way would never fail.
    held = len(_TEST.findall(_without_comments(text)))
    if held != len(tests):
        raise SchemaError(f"{path}: holds {held} tests, {len(tests)} were read")
    if ((document or {}).get("meta") or {}).get("enabled") is False:
        return TestFile(tests=(), disabled=len(tests))
    return TestFile(tests=tests)


def _tests(document: dict[str, Any], path: Path) -> Iterator[Test]:
    for test in document["tests"]:
        known = {"test_id", "test_title", "desc", "description", "tags", "stages"}
        if unknown := set(test) - known:
            raise SchemaError(
                f"{path}: a test has {', '.join(sorted(unknown))}, which the schema does not know"
            )
        name = _name(document, test, path)
        try:
            stages = tuple(map(Stage.model_validate, test["stages"]))
        except ValidationError as error:
            raise SchemaError(f"{path}: {name}: {error}") from error
        yield Test(name=name, rule=int(name.partition("-")[0]), stages=stages)


def _told_apart(tests: Iterable[Test]) -> Iterator[Test]:
    """Yield tests; the second of a name (the older suite has some) is `941160-10 (2)`."""
    seen: Counter[str] = Counter()
    for test in tests:
        seen[test.name] += 1
        number = seen[test.name]
        yield test if number == 1 else test.model_copy(update={"name": f"{test.name} ({number})"})


def _name(document: dict[str, Any], test: dict[str, Any], path: Path) -> str:
    name = (
        f"{document['rule_id']}-{test['test_id']}" if "test_id" in test else str(test["test_title"]).strip()
    )
    if _TITLE.fullmatch(name) is None:
        raise SchemaError(f"{path}: the test {name!r} is not named by a rule and a number")
    return name


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
