"""docs/events.md beside the sources and a running gateway: its fields and codes are those that there are."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.docs.blocks import DOCS, ROOT
from tests.docs.tables import rows, words
from tests.support.backend import Backend
from tests.support.few_rules import few_rules
from tests.support.gateway import Gateway
from tests.support.ports import free_port
from tests.support.refusals import MEMBERS

PAGE: Final = (DOCS / "events.md").read_text(encoding="utf-8")
EDGE: Final = ROOT / "lua" / "bartizan"
TYPES: Final[dict[str, type | tuple[type, ...]]] = {"text": str, "number": (int, float)}
SECRET: Final = "correct-horse"


def policy(backend: Backend, rules: Path) -> dict[str, Any]:
    def route(path: str, **settings: Any) -> dict[str, Any]:
        return {"prefix": path, "methods": ["GET"], "upstream": "data", "auth": "none", **settings}

    return {
        "upstreams": {
            "data": {"servers": [backend.url]},
            "away": {"servers": [f"http://127.0.0.1:{free_port()}"]},
        },
        "routes": [
            route("/"),
            route("/away", upstream="away"),
            route("/denied", addresses={"deny": ["127.0.0.1"]}),
            route("/watched", addresses={"deny": ["127.0.0.1"], "mode": "observe"}),
            route("/rules", waf={}),
        ],
        "rules": few_rules(rules),
    }


@pytest.fixture(scope="module")
def gateway(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(policy(backend, tmp_path_factory.mktemp("rules"))) as running:
        running.expect_error("Connection refused")
        with running.client() as client:
            answers = [
                client.get(f"{path}?password={SECRET}").status_code
                for path in ("/", "/away", "/denied", "/watched", "/nowhere/..%2f")
            ]
            answers += [client.get(f"/rules?few={word}").status_code for word in ("refuse", "note")]
        assert answers == [200, 502, 403, 200, 400, 403, 200]
        running.wait_for_access(lambda line: line["verdict"] == "not_canonical")
        running.wait_for_audit(lambda event: event["code"] == "waf_matched")
        yield running


def fields(section: str) -> dict[str, str]:
    """Return the fields of one log and their types, from the table in its section."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `(\w+)` \| (text|number) \|", text, re.MULTILINE)
    assert len(dict(found)) == len(found)
    return dict(found)


def codes() -> dict[str, tuple[set[str], set[str]]]:
    """Return the statuses and guards of each code in the page."""
    found = {}
    for code, status, guard, _ in rows("events.md", "code"):
        assert words(code)[0] not in found
        found[words(code)[0]] = (set(status.split()), set(words(guard)))
    return found


def of_the_sources() -> dict[str, set[str]]:
    """Return each code that the edge has, with the statuses beside it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in EDGE.rglob("*.lua"):
        text = path.read_text(encoding="utf-8")
        for status, code in re.findall(r'\bstatus = (\w+),\s*code = "(\w+)"', text):
            found[code].add(status)
        for status, code in re.findall(r'\b([0-9]{3}), "([a-z_]+)"', text):
            found[code].add(status)
        for code in re.findall(r'\bcode = "(\w+)"', text):
            found[code] |= set()
    return dict(found)


@pytest.mark.parametrize("name", ["access", "audit"])
def test_the_page_has_the_fields_of_each_log(gateway: Gateway, name: str) -> None:
    page = fields(f"{name}.jsonl")
    lines = gateway.access() if name == "access" else gateway.audit()
    assert len(lines) >= 4
    for line in lines:
        said = line.pop("waf", None)
        assert (said is not None) == (line.get("guard") == "waf")
        assert list(line) == list(page), "the same fields in the same order"
        for field, value in line.items():
            assert isinstance(value, TYPES[page[field]]), field


def test_the_page_has_the_members_of_what_the_rules_say(gateway: Gateway) -> None:
    said = [event["waf"] for event in gateway.audit() if "waf" in event]
    assert len(said) == 2
    for one in said:
        members = {words(row[0])[0] for row in rows("events.md", "member")}
        assert set(one) == members - {"omitted"}
        for match in one["matches"]:
            assert set(match) == {words(row[0])[0] for row in rows("events.md", "of a match")}


def test_the_page_has_every_code_and_its_statuses() -> None:
    sources = of_the_sources()
    assert len(sources) >= 30
    # The status of an answer that was begun is the upstream's.
    sources["upstream_cut_off"] = {"as", "sent"}
    assert {code: statuses for code, (statuses, _) in codes().items()} == sources


def test_what_happens_has_a_code_guard_and_decision_of_the_page(gateway: Gateway) -> None:
    known = codes()
    decisions = {words(row[0])[0] for row in rows("events.md", "decision")}
    for event in gateway.audit():
        statuses, guards = known[event["code"]]
        assert str(event["status"]) in statuses
        assert event["guard"] in guards
        assert event["decision"] in decisions
    assert {event["decision"] for event in gateway.audit()} == decisions - {"aborted"}


def test_every_guard_of_the_page_is_one() -> None:
    guards = {path.stem for path in (EDGE / "guards").glob("*.lua")} | {"cors", "edge", "upstream"}
    assert set().union(*(found for _, found in codes().values())) == guards


def test_decisions_are_those_of_the_sources() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in EDGE.rglob("*.lua"))
    written = set(re.findall(r'decision = "(\w+)"', text))
    written |= set(re.findall(r'\bdecision\(\w+, "(\w+)"', text))
    written |= set(
        re.findall(r'verdict.failed and "(\w+)" or step.observing and "(\w+)"\s+or "(\w+)"', text)[0]
    )
    assert {words(row[0])[0] for row in rows("events.md", "decision")} == written


def test_secrets_are_masked_in_both_logs(gateway: Gateway) -> None:
    for name in ("access", "audit"):
        text = (gateway.state / "log" / f"{name}.jsonl").read_text(encoding="utf-8")
        assert SECRET not in text
        assert "password=[redacted]" in text


def test_the_names_that_the_page_calls_secret_are_masked(gateway: Gateway) -> None:
    line = next(row for row in PAGE.split("\n- ") if row.startswith("the values of arguments"))
    # The last one in the sentence is what stands in their place.
    names = [name for name in words(line.replace("\n", " ")) if name != "[redacted]"]
    assert len(names) >= 10
    with gateway.client() as client:
        for name in names:
            client.get(f"/secrets?{name}={SECRET}")
    gateway.wait_for_access(lambda event: f"?{names[-1]}=" in event["path"])
    for event in gateway.access():
        assert SECRET not in event["path"]


def test_nginx_does_not_mask_in_its_own_lines(gateway: Gateway) -> None:
    """Should it ever, the page's warning goes."""
    assert f"password={SECRET}" in gateway.stderr()


def test_the_lines_that_are_shown_are_lines(gateway: Gateway) -> None:
    shown = {
        kind: json.loads(line) for kind, line in re.findall(r"^```json (\w+)\n(.*)\n```$", PAGE, re.MULTILINE)
    }
    assert list(shown["access"]) == list(fields("access.jsonl"))
    assert list(shown["audit"]) == list(fields("audit.jsonl"))
    assert set(shown["problem"]) <= MEMBERS
    with gateway.client() as client:
        answer = client.get("/a/..%2fb").json()
    assert {**answer, "request_id": shown["problem"]["request_id"]} == shown["problem"]


def test_links_to_both_logs_lead_somewhere() -> None:
    assert Path(DOCS / "operating.md").read_text(encoding="utf-8").count("events.md#") >= 3
