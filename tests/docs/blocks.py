"""The parts of the pages in docs/ that are made from the sources: each stands between two comments.

<!-- made: keys Listen -->
...
<!-- end -->
"""

import re
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from tests.docs import reference

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
_BLOCK: Final = re.compile(r"(<!-- made: ([a-z]+)(?: (\w+))? -->\n).*?(<!-- end -->)", re.DOTALL)


def renewed(page: str) -> str:
    """Return a page with its made parts as they should be.

    Raises:
        ValueError: a part that nobody makes.
    """
    return _BLOCK.sub(lambda found: f"{found[1]}\n{_made(found[2], found[3])}\n\n{found[4]}", page)


def stale() -> list[str]:
    """Return the names of the pages that `make docs` would change."""
    found = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if renewed(text) != text:
            found.append(page.name)
    return found


def _made(kind: str, argument: str | None) -> str:
    match kind, argument:
        case "keys", str() if argument in reference.SECTIONS:
            return reference.keys(argument)
        case "formats", None:
            return reference.formats()
        case "mistakes", None:
            return _mistakes()
    raise ValueError(f"nothing makes {kind} {argument or ''}")


def _mistakes() -> str:
    """Return the table of mistakes: the cases of the tests, which hold the command to these sentences."""
    path = ROOT / "tests" / "cases" / "policy_mistakes.yaml"
    cases: Any = YAML(typ="safe", pure=True).load(path)["cases"]
    lines = ["| mistake | what is said, behind `FILE:LINE:` |", "|---|---|"]
    for case in cases:
        said = "<br>".join(f"`{re.sub(r'^[0-9]+: ', '', line)}`" for line in case["says"])
        lines.append(reference.row(case["name"], said.replace("{folder}", "/etc/bartizan")))
    return "\n".join(lines)
