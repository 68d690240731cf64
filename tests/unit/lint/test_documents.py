"""The check of the pages: what it finds, and what it lets be."""

from pathlib import Path

import pytest

from tests.lint import documents
from tests.lint.documents import anchors, dead_links


def page(folder: Path, text: str, name: str = "page.md") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("[a](other.md) [b](other.md#a-heading) [c](#here)\n# Here\n", []),
        ("[a](https://example.com/nowhere#x)", []),
        ("`[a](nowhere.md)`\n```sh\n[a](nowhere.md)\n```\n", []),
        ("\n[a](nowhere.md)", ["page.md:2: nowhere.md: there is no nowhere.md"]),
        ("[a](#nowhere)\n# Here", ["page.md:1: #nowhere: page.md has no heading with the anchor #nowhere"]),
        (
            "```\nx\n```\n[a](other.md#b)",
            ["page.md:4: other.md#b: other.md has no heading with the anchor #b"],
        ),
    ],
)
def test_links(tmp_path: Path, text: str, faults: list[str]) -> None:
    page(tmp_path, "## A `heading`\n", "other.md")
    assert list(dead_links(page(tmp_path, text))) == faults


def test_anchors_are_those_of_the_headings(tmp_path: Path) -> None:
    text = "# What `check` refuses, *always*\n## Two\n## Two\n### [A link](x.md)\n```sh\n# no heading\n```\n"
    assert anchors(page(tmp_path, text)) == {"what-check-refuses-always", "two", "two-1", "a-link"}


def test_the_pages_are_good() -> None:
    result = documents.check()
    assert result.state == "passed", result.text


def test_a_stale_page_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "stale", lambda: ["policy.md"])
    result = documents.check()
    assert result.state == "failed"
    assert "docs/policy.md is not what the sources say: run `make docs`" in result.text
