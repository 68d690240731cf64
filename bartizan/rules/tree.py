"""Where a Core Rule Set lies, and in which order its files are read."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bartizan.errors import BartizanError

DEBIAN_RULES: Final = Path("/usr/share/modsecurity-crs/rules")
DEBIAN_SETUP: Final = Path("/etc/modsecurity/crs")
_FIRST: Final = "REQUEST-901-INITIALIZATION.conf"
OPERATORS_OWN: Final = frozenset(
    {"REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf", "RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf"}
)
_SIGNATURE: Final = re.compile(
    r'^\s*SecComponentSignature\s+"?OWASP_CRS/(\d+(?:\.\d+)+[\w.-]*)"?\s*$', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class RuleTree:
    """A Core Rule Set on disk.

    Attributes:
        setup: the folder of crs-setup.conf or crs-setup.conf.example.
        rules: the folder of the rules.
        plugins: the folder of its plugins; it need not be there.
    """

    setup: Path
    rules: Path
    plugins: Path

    @property
    def version(self) -> str | None:
        """The version that its rules state, such as 4.28.0; None where they state none."""
        first = self.rules / _FIRST
        match = _SIGNATURE.search(first.read_text(encoding="utf-8", errors="replace"))
        return match and match[1]

    @property
    def setup_file(self) -> Path | None:
        """Its settings: the operator's, or the example that a release brings."""
        for name in ("crs-setup.conf", "crs-setup.conf.example"):
            if (path := self.setup / name).is_file():
                return path
        return None

    @property
    def rule_files(self) -> tuple[Path, ...]:
        """The files of rules in order, the operator's exclusions before and after them included."""
        files = {path.name: path for path in self.rules.glob("*.conf")}
        for name in OPERATORS_OWN:
            # Debian keeps what the operator writes under /etc, apart from the rules.
            if name not in files and (path := self.setup / name).is_file():
                files[name] = path
        return tuple(path for _, path in sorted(files.items()))

    @property
    def core(self) -> frozenset[Path]:
        """The files that are the Core Rule Set's own, and not the operator's."""
        setup = self.setup_file
        files = {path for path in self.rule_files if path.name not in OPERATORS_OWN}
        return frozenset(files if setup is None else files | {setup})

    def order(
        self, before: Iterable[Path] = (), after: Iterable[Path] = (), plugins: Path | None = None
    ) -> tuple[Path, ...]:
        """Return all files in the order in which they are read.

        Args:
            before: one's own files that are read before the rules (exclusions by ctl, settings of TX).
            after: one's own files that are read last (SecRuleRemoveById and the like, own rules).
            plugins: another folder of plugins than the tree's own.
        """
        folder = plugins or self.plugins
        config, early, late = (
            sorted(folder.glob(f"*-{when}.conf")) for when in ("config", "before", "after")
        )
        setup = self.setup_file
        return (
            *(() if setup is None else (setup,)),
            *config,
            *early,
            *before,
            *self.rule_files,
            *late,
            *after,
        )


def find_tree(folder: Path | None = None) -> RuleTree:
    """Return the Core Rule Set in a folder.

    Args:
        folder: a release's folder, with crs-setup.conf.example and rules/ in it; None for Debian's package.

    Raises:
        BartizanError: it is none.
    """
    if folder is None or folder == DEBIAN_RULES.parent:
        tree = RuleTree(DEBIAN_SETUP, DEBIAN_RULES, DEBIAN_SETUP / "plugins")
        hint = "; install Debian's package modsecurity-crs, or name a folder or an installed release"
    else:
        tree = RuleTree(folder, folder / "rules", folder / "plugins")
        hint = "; name the folder of a release, which holds rules/ and crs-setup.conf.example"
    if not (tree.rules / _FIRST).is_file():
        raise BartizanError(f"there is no Core Rule Set: {tree.rules / _FIRST} is missing{hint}")
    return tree
