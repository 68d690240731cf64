"""The lock files: what ships is what the tests ran with."""

import re
import tomllib

from tests.support.dockerfile import ROOT


def pins(name: str) -> set[tuple[str, str]]:
    """Names with their releases; a package may have another release for another Python."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return set(re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", text, re.MULTILINE))


def test_what_ships_has_the_releases_that_are_tested() -> None:
    shipped, tested = pins("runtime"), pins("development")
    assert len(shipped) > 40
    assert shipped - tested == set()


def test_a_wheel_asks_for_what_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {re.split(r"[\[>=<]", entry)[0] for entry in project["dependencies"]}
    text = (ROOT / "requirements/runtime.in").read_text()
    locked = {line.split("[")[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert asked == locked - {"hatchling", "editables"}
