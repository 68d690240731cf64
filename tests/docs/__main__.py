"""`make docs`: writes the parts of the pages in docs/ that are made from the sources."""

import sys

from tests.docs.blocks import DOCS, renewed, stale


def main() -> int:
    """Renew the pages, name those that changed, and return the exit code."""
    for name in stale():
        page = DOCS / name
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stdout.write(f"docs/{name}: renewed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
