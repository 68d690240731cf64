"""The examples in the pages: fenced blocks of YAML, and what is said of them.

```yaml policy     a whole policy, which is good
```yaml warned     one that is served; a block of text behind it has the warnings
```yaml refused    one that is not; a block of text behind it has what is printed
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.docs.blocks import DOCS, ROOT

PAGES: Final = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
_FENCE: Final = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A policy in a page.

    Attributes:
        name: the page and the line.
        kind: policy, warned or refused.
        text: the policy.
        said: what is said of it.
    """

    name: str
    kind: str
    text: str
    said: str


def examples() -> Iterator[Example]:
    """Yield the policies of all pages."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fences = list(_FENCE.finditer(text))
        for number, found in enumerate(fences):
            if found[1] == "yaml" and found[2] != "prometheus":
                kind = found[2] or "policy"
                said = fences[number + 1][3] if kind != "policy" else ""
                yield Example(_place(page, text, found.start()), kind, found[3], said)


def _place(page: Path, text: str, position: int) -> str:
    return f"{page.name}:{text.count(chr(10), 0, position) + 1}"
