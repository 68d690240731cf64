"""How much memory processes have to themselves."""

import re
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_ANONYMOUS: Final = re.compile(r"^Pss_Anon: +(\d+) kB$", re.MULTILINE)


def private_bytes(pids: Iterable[int]) -> int:
    """Return the memory of all processes together: what they share counts once, shared stores not at all."""
    total = 0
    for pid in pids:
        found = _ANONYMOUS.search(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"))
        assert found is not None
        total += int(found[1]) * 1024
    return total


def resident_bytes() -> int:
    """Return how much memory of this process is in use, of Python, of Lua and of what libraries took."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()
