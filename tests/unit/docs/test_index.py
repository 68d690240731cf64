"""What a page must not leave out: the index every page, the page on faults every test of faults."""

import re

from tests.docs.blocks import DOCS, ROOT


def links(name: str) -> set[str]:
    """Return what a page in docs/ links to."""
    return set(re.findall(r"\]\(([^)#]+)", (DOCS / name).read_text(encoding="utf-8")))


def test_the_index_has_every_page() -> None:
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} == links("README.md") - {"../README.md"}


def test_the_readme_leads_to_the_index() -> None:
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_on_faults_has_every_test_of_faults() -> None:
    tests = {f"../{path.relative_to(ROOT)}" for path in (ROOT / "tests" / "faults").glob("test_*.py")}
    assert len(tests) >= 8
    assert tests - links("faults.md") == set(), "docs/faults.md says what each fault means to an operator"
