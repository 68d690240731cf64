"""Where a Core Rule Set lies, and in which order its files are read."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bartizan.rules.problems import Place, Problem, RulesError

DEBIAN_RULES: Final = Path("/usr/share/modsecurity-crs/rules")
DEBIAN_SETUP: Final = Path("/etc/modsecurity/crs")
_FIRST: Final = "REQUEST-901-INITIALIZATION.conf"
_BEFORE: Final = "REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf"
_AFTER: Final = "RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf"
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
    def core(self) -> tuple[Path, ...]:
        """The files of the Core Rule Set itself, in order, without plugins."""
        setup = next(
            (
                path
                for name in ("crs-setup.conf", "crs-setup.conf.example")
                if (path := self.setup / name).is_file()
            ),
            None,
        )
        found = () if setup is None else (setup,)
        rules = sorted(self.rules.glob("*.conf"), key=lambda path: path.name)
        # Debian keeps what the operator writes under /etc, apart from the rules.
        if self.setup != self.rules.parent:
            names = {path.name for path in rules}
            for name in (_BEFORE, _AFTER):
                if name not in names and (path := self.setup / name).is_file():
                    rules.append(path)
            rules.sort(key=lambda path: path.name)
        return (*found, *rules)

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
        core = self.core
        setup = core[:1] if core and core[0].name.startswith("crs-setup.conf") else ()
        return (*setup, *config, *early, *before, *core[len(setup) :], *late, *after)


def find_tree(folder: Path | None = None) -> RuleTree:
    """Return the Core Rule Set in a folder.

    Args:
        folder: a release's folder, with crs-setup.conf.example and rules/ in it; None for Debian's package.

    Raises:
        RulesError: it is none.
    """
    if folder is None or folder == DEBIAN_RULES.parent:
        tree = RuleTree(DEBIAN_SETUP, DEBIAN_RULES, DEBIAN_SETUP / "plugins")
        hint = "; install Debian's package modsecurity-crs, or name a folder or an installed release"
    else:
        tree = RuleTree(folder, folder / "rules", folder / "plugins")
        hint = "; name the folder of a release, which holds rules/ and crs-setup.conf.example"
    if not (tree.rules / _FIRST).is_file():
        message = f"there is no Core Rule Set here: {tree.rules / _FIRST} is missing{hint}"
        raise RulesError([Problem(Place(tree.rules, 1), message)])
    return tree
