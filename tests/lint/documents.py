"""The pages that people read: no link leads nowhere, and what is made from the sources is up to date."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from tests.docs.blocks import stale
from tests.lint.result import ROOT, Result

PAGES: Final = ("*.md", "docs/*.md")
_FENCED: Final = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"`[^`\n]*`")
_LINK: Final = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def check() -> Result:
    """Look at every page."""
    pages = sorted(page for pattern in PAGES for page in ROOT.glob(pattern))
    faults = [f"docs/{name} is not what the sources say: run `make docs`" for name in stale()]
    faults += [fault for page in pages for fault in dead_links(page)]
    return Result("failed", "\n".join(faults)) if faults else Result("passed")


def dead_links(page: Path) -> Iterator[str]:
    """Yield what is wrong with the links of a page that lead into the repository."""
    text = _without_code(page.read_text(encoding="utf-8"))
    for found in _LINK.finditer(text):
        link = found[1]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / unquote(path) if path else page
        line = text.count("\n", 0, found.start()) + 1
        where = f"{page.name}:{line}: {link}"
        if not target.exists():
            yield f"{where}: there is no {path}"
        elif anchor and anchor not in anchors(target):
            yield f"{where}: {target.name} has no heading with the anchor #{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page have."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = 0
        while (anchor := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(anchor)
    return found


def _without_code(text: str) -> str:
    """Blank out what is code, so that lines keep their numbers."""
    text = _FENCED.sub(lambda found: "\n" * found[0].count("\n"), text)
    return _SPAN.sub("", text)
