"""docs/policy.md: made from the models, and every example in it is what the page says that it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from bartizan.certificates import ensure_development_certificate
from bartizan.cli.console import refuse, warn
from bartizan.layout import State
from bartizan.policy import Model, Policy, PolicyError
from bartizan.policy.load import read_policy
from bartizan.policy.schema import models
from tests.docs import blocks, reference
from tests.docs.examples import Example, examples

EXAMPLES: Final = list(examples())
PAGE: Final = blocks.DOCS / "policy.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files that the examples name; it is the current one."""
    state = State(tmp_path / "state")
    ensure_development_certificate(state, "localhost")
    (tmp_path / "certs").mkdir()
    (tmp_path / "lists").mkdir()
    (tmp_path / "certs/fullchain.pem").write_bytes(state.server_certificate.read_bytes())
    (tmp_path / "certs/privkey.pem").write_bytes(state.server_key.read_bytes())
    (tmp_path / "certs/ca.pem").write_bytes(state.ca_certificate.read_bytes())
    (tmp_path / "lists/blocked.txt").write_text("192.0.2.0/24\n", encoding="utf-8")
    (tmp_path / "lists/partners.txt").write_text("198.51.100.7\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_made_is_up_to_date() -> None:
    assert blocks.stale() == [], "run `make docs`"


def test_every_section_has_its_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert {name for name in reference.SECTIONS if f"<!-- made: keys {name} -->" in text} == set(
        reference.SECTIONS
    )
    written_as_text = {"Operator"}
    assert set(reference.SECTIONS) == {model.__name__ for model in models(Model)} - written_as_text


def test_what_nobody_makes_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="nothing makes keys Nothing"):
        blocks.renewed("<!-- made: keys Nothing -->\n<!-- end -->")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 10
    assert {example.kind for example in EXAMPLES} == {"policy", "warned", "refused"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_what_it_is_said_to_be(
    example: Example, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("gateway.yaml")
    path.write_text(example.text, encoding="utf-8")
    try:
        _, doubts = read_policy(path)
    except PolicyError as error:
        refuse(error)
        kind = "refused"
    else:
        warn(path, doubts)
        kind = "warned" if doubts else "policy"
    assert (kind, capsys.readouterr().err) == (example.kind, example.said)
    assert folder.exists()


def keys() -> Iterator[tuple[str, str]]:
    for section in reference.SECTIONS:
        for name in reference.properties(section):
            yield section, name


@pytest.mark.parametrize(("section", "name"), list(keys()))
def test_the_example_of_a_key_is_taken(section: str, name: str, folder: Path) -> None:
    shapes = reference.properties(section)
    wanted = [*reference.required(section), name]
    if section == "Route" and name != "path":
        wanted.append("prefix")
    if section == "Addresses" and name == "mode":
        wanted.append("deny")
    if section == "Exclusion" and name != "tag":
        wanted.append("rule")
    if section == "Upstream" and name in {"ca", "server_name"}:
        shapes = shapes | {"servers": {"type": "array", "examples": ["https://data.example"]}}
    given = {
        key: reference.example(shapes[key]) for key in wanted if reference.example(shapes[key]) is not None
    }
    if section == "Policy":
        given["routes"] = []
    # As it stands in the page, on one line.
    read = YAML(typ="safe", pure=True).load(
        "\n".join(f"{key}: {reference.flow(value)}" for key, value in given.items())
    )
    model = next(each for each in models(Model) if each.__name__ == section)
    assert json.dumps(read) == json.dumps(given)
    model.model_validate(_frozen(read), context={"folder": folder})
    assert name in given or section == Policy.__name__


def _frozen(value: Any) -> Any:
    match value:
        case dict():
            return {key: _frozen(item) for key, item in value.items()}
        case list():
            return tuple(_frozen(item) for item in value)
        case _:
            return value
