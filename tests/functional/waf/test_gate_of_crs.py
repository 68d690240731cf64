"""The gate of the Core Rule Set misses no rule: with it and without it, requests have the same outcome.

Release 3.3, as Debian packages it, at paranoia level 1; `make conformance` takes level 4 and release 4, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bartizan.rules import RuleSettings, RuleSource, compile_rules
from tests.conformance.schema import read
from tests.conformance.suites import TESTS
from tests.conformance.wire import request as wire_request
from tests.support.gateway import RULES
from tests.support.rule_plan import Outcome, Request, RuleEngine

CORPORA: Final = os.environ.get("CORPORA")
CASES: Final = [
    ("3.3", 1),
    *(pytest.param(case, marks=pytest.mark.corpora) for case in (("3.3", 4), ("4", 1), ("4", 4))),
]


def folder(release: str) -> Path | None:
    """Return the rules of a release; None for Debian's."""
    return None if release == "3.3" else next(iter(sorted(Path(CORPORA or "").glob("crs-4.*"))))


@dataclass(frozen=True)
class Pair:
    """One engine with the gate, and one that evaluates every rule."""

    gated: RuleEngine
    gateless: RuleEngine

    def outcomes(self, request: Request) -> tuple[list[Outcome], list[Outcome]]:
        """Run a request through both, and give all that can be seen of it.

        What rules keep in TX for other rules is not among it: some of those run only once anything matched.
        """
        return [replace(each, tx={}) for each in self.gated.run(request)], [
            replace(each, tx={}) for each in self.gateless.run(request)
        ]


@pytest.fixture(scope="module", params=CASES, ids=str)
def pair(request: pytest.FixtureRequest) -> Pair:
    release, paranoia = request.param
    if CORPORA is None and (release, paranoia) != CASES[0]:
        pytest.skip("needs the Core Rule Set below $CORPORA, and minutes to compile")
    plan = compile_rules(
        RuleSource(folder(release)), RuleSettings(paranoia=paranoia), RULES / "compiled"
    )  # fmt: skip
    text = (plan / "plan.json").read_text()
    return Pair(RuleEngine(text, plan), RuleEngine(text, plan, gateless=True))


FRAGMENTS: Final = (
    "' or 1=1 -- ", '" and "a"="a', "1; drop table users", "union select password from users", "sleep(5)",
    "/*!50000select*/", "0x3c736372697074", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "javascript:alert(document.cookie)", "&lt;svg onload=", "\\u003cscript\\u003e", "expression(",
    "../../../etc/passwd", "..%2f..%2f", "%252e%252e%255c", "c:\\windows\\win.ini", "/proc/self/environ",
    "; cat /etc/passwd", "$(id)", "`whoami`", "| nc -e /bin/sh", "c\"a\"t", "w^h^o^a^m^i", "/???/c?t",
    "|& ls", "<?php system($_GET[1]); ?>", "php://input", "base64_decode(", "O:8:\"stdClass\"", "${jndi:ldap://x/a}",
    "#{7*7}", "{{7*7}}", "<%= 7 %>", "require('child_process')", "process.env", "__proto__", "constructor",
    "http://169.254.169.254/", "file:///etc/passwd", "http://1.2.3.4/shell.txt?", "gopher://",
    "\r\nSet-Cookie: a=b", "\nLocation: x", "HTTP/1.1 200 OK", "\x00", "\xac\xed\x00\x05", "rO0ABQ",
    "java.lang.Runtime", "vbscript:", "$IFS", "%", "+", "12", "caf\xc3\xa9", "\xff\xfe", "",
    "class.module.classLoader", "ognl", "sqlmap/1.0", "nikto", "(masscan)", "PHPSESSID=1", "Y21kLmV4ZQ==",
    "a", "O'Brien", "select a colour", "time to go", "x=1&y=2", "%u0061",
)  # fmt: skip
VALUES: Final = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=3).map("".join),
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=2).map(" ".join),
    st.text(st.characters(max_codepoint=0xFF), max_size=20),
)
NAMES: Final = st.one_of(
    st.sampled_from(["q", "id", "_method", "user[name]"]), VALUES.map(lambda text: text[:40])
)
FIELDS: Final = st.sampled_from(
    ["User-Agent", "Referer", "Accept", "Cookie", "Content-Type", "X-Forwarded-For", "Range", "Host",
     "X-Filename", "Content-Length", "Transfer-Encoding", "Accept-Encoding", "Connection", "Proxy", "X-Other"]
)  # fmt: skip


def encoded(pairs: list[tuple[str, str]]) -> str:
    return "&".join(
        f"{quote(name, encoding='latin-1')}={quote(value, encoding='latin-1')}" for name, value in pairs
    )


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Requests with attacks, half attacks and harmless values anywhere."""
    fields = [("Host", "localhost"), ("User-Agent", "Mozilla/5.0"), ("Accept", "*/*")]
    fields += draw(st.lists(st.tuples(FIELDS, VALUES), max_size=2))
    path = "/" + draw(st.sampled_from(["", "shop/items", "index.php", ".git/config"]))
    query = encoded(draw(st.lists(st.tuples(NAMES, VALUES), max_size=2)))
    method = draw(st.sampled_from(["GET", "POST", "PUT", "TRACK"]))
    body = ""
    if method != "GET":
        kind = draw(st.sampled_from(["application/x-www-form-urlencoded", "application/json", "text/plain"]))
        fields.append(("Content-Type", kind))
        body = draw(VALUES) if kind != FORM else encoded(draw(st.lists(st.tuples(NAMES, VALUES), max_size=2)))
    return Request(f"{path}?{query}" if query else path, method, fields, body)


FORM: Final = "application/x-www-form-urlencoded"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request=requests())
def test_of_requests_with_attacks_anywhere(pair: Pair, request: Request) -> None:
    gated, gateless = pair.outcomes(request)
    # Where all rules are asked of everything, one may come to a match limit that it does not come to else.
    assume(not any(outcome.error for outcome in gateless))
    assert gated == gateless


def stages(root: Path) -> Iterator[tuple[str, Request]]:
    """Give the requests of a suite's tests."""
    for path in sorted((root / TESTS).rglob("*.y*ml")):
        for test in read(path).tests:
            for stage in test.stages:
                head, _, body = wire_request(stage.input).decode("latin-1").partition("\r\n\r\n")
                first, *lines = head.split("\r\n")
                method, _, rest = first.partition(" ")
                fields = [line.partition(":")[::2] for line in lines]
                yield (
                    test.name,
                    Request(
                        rest.rpartition(" ")[0] or rest,
                        method,
                        [(name, value.strip()) for name, value in fields],
                        body,
                    ),
                )


@pytest.mark.corpora
@pytest.mark.skipif(CORPORA is None, reason="needs the suites of the Core Rule Set below $CORPORA")
@pytest.mark.timeout(600)
def test_of_the_requests_of_the_core_rule_sets_own_tests(pair: Pair) -> None:
    count, differ = 0, []
    for root in sorted(Path(CORPORA or "").glob("crs-*")):
        for name, request in stages(root):
            gated, gateless = pair.outcomes(request)
            count += 1
            if gated != gateless and not any(outcome.error for outcome in gateless):
                differ.append(name)
    assert count > 5000
    assert differ == []
