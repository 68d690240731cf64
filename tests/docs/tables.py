"""The tables of the pages, for tests that hold them to what runs."""

import re
from collections.abc import Iterator
from typing import Final

from tests.docs.blocks import DOCS

_CELL: Final = re.compile(r"(?<!\\)\|")
_CODE: Final = re.compile(r"`([^`]+)`")


def rows(page: str, title: str) -> Iterator[list[str]]:
    """Yield the rows of every table of a page whose first column has this title."""
    inside = False
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in _CELL.split(line)[1:-1]]
        if inside:
            if set(cells[0]) - set("-: "):
                yield cells
        else:
            inside = cells[0] == title


def words(cell: str) -> list[str]:
    """Return what stands as code in a cell."""
    return _CODE.findall(cell)
