"""The JSON schema: it takes what a policy may say, refuses what no key takes, and speaks of the file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from bartizan.policy.schema import policy_schema

ROOT: Final = Path(__file__).parents[4]
MISTAKES: Final[Any] = YAML(typ="safe", pure=True).load(ROOT / "tests/cases/policy_mistakes.yaml")
# As `bartizan schema` prints it.
SCHEMA: Final = json.loads(json.dumps(policy_schema()))
GOOD: Final = {
    "upstreams": {"data": {"servers": ["http://127.0.0.1:5200"]}},
    "routes": [{"prefix": "/", "methods": ["GET"], "upstream": "data", "auth": "none"}],
}


def wrong(policy: Any) -> list[str]:
    """Return what the schema says against a policy."""
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(policy)]


def read(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def properties(schema: Any = SCHEMA) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key of every section, with its schema."""
    for shape in (schema, *schema["$defs"].values()):
        for name, found in shape["properties"].items():
            yield f"{shape['title']}.{name}", found


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", ["gateway.yaml", "openresty/gateway.compose.yaml"])
def test_a_good_policy_passes(name: str) -> None:
    assert not wrong(read((ROOT / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "change",
    [
        {"defaults": {"rate": [{"limit": "200/s"}, {"limit": "1/h", "by": "client"}], "cors": "off"}},
        {"defaults": {"rate": {"limit": "200/s", "mode": "observe"}, "concurrency": "off"}},
        {"listen": {"https": "off", "http": {"port": 80, "redirect": False}, "operator": "[::1]:8081"}},
        {"listen": {"https": 443, "http": "off", "operator": 9000}, "workers": 4},
    ],
)
def test_short_forms_pass(change: dict[str, Any]) -> None:
    assert not wrong(GOOD | change)


@pytest.mark.parametrize(
    "change",
    [
        {"routes": [{"prefix": "/", "path": "/", "methods": ["GET"], "upstream": "data", "auth": "none"}]},
        {"routes": [{"prefix": "/", "methods": ["GET"], "upstream": "data", "auth": None}]},
        {"defaults": {"body": 5}},
        {"defaults": {"rate": None}},
        {"defaults": {"rate": []}},
        {"upstreams": {"Data": {"servers": ["http://127.0.0.1:5200"]}}},
        {"upstreams": {"data": {"servers": ["http://127.0.0.1:5200"], "read_timeout": 5}}},
        {"listen": {"https": 70000}},
        {"workers": 0},
        {"waf": {}},
    ],
)
def test_what_no_key_takes_does_not_pass(change: dict[str, Any]) -> None:
    assert wrong(GOOD | change)


def test_it_refuses_nothing_that_is_no_mistake() -> None:
    assert not wrong(read(MISTAKES["policy"]))


def test_it_finds_most_mistakes_that_stand_in_one_key() -> None:
    """The others it can't know: names that are not defined, missing files, what contradicts itself."""
    found = 0
    for case in MISTAKES["cases"]:
        text = MISTAKES["policy"].replace(*case["replace"])
        try:
            found += bool(wrong(read(text)))
        except Exception:  # noqa: S112  # no YAML at all
            continue
    assert found >= 20


def test_every_key_has_a_meaning() -> None:
    without = [name for name, found in properties() if not found.get("description", "").endswith((".", ")"))]
    assert not without


def test_defaults_and_examples_are_what_the_key_takes() -> None:
    checked = 0
    for name, found in properties():
        validator = Draft202012Validator({**found, "$defs": SCHEMA["$defs"]})
        examples = found.get("examples", [])
        if found.get("type") == "array":
            examples = [[example] for example in examples]
        for value in (*examples, *([found["default"]] if "default" in found else [])):
            checked += 1
            assert validator.is_valid(value), f"{name}: {value!r}"
    assert checked > 80


def test_what_is_held_otherwise_is_shown_as_written() -> None:
    shown = dict(properties())
    assert shown["Upstream.connect_timeout"]["default"] == "2s"
    assert shown["Defaults.body"]["default"] == "1MiB"
    assert shown["Defaults.rate"]["default"] == {"limit": "200/s", "burst": 100}
    assert shown["Listen.operator"]["default"] == "127.0.0.1:8081"
    assert shown["Upstream.fail_timeout"]["description"].endswith(" From 1s to 1h.")
    assert "default" not in shown["Route.body"]
    assert '"null"' not in json.dumps(SCHEMA)
