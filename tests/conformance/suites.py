"""The suites that are to be had, and what of each is run."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.conformance.schema import SchemaError, Test, read
from tests.conformance.wire import body_kind, request

# Where a checkout has its tests.
TESTS: Final = Path("tests/regression/tests")
DEBIAN_RULES: Final = Path("/usr/share/modsecurity-crs/rules")
_VERSION: Final = re.compile(r"ver:'OWASP_CRS/(\d+\.\d+\.\d+)")
_FAMILY: Final = re.compile(r"(?:REQUEST|RESPONSE)-(\d{3})-")


class SuiteError(Exception):
    """A suite can't be run; the message says why."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite and the rules that it is for.

    Attributes:
        crs: the release.
        root: the checkout with the tests.
        rules: the checkout with the rules; None for Debian's.
    """

    crs: str
    root: Path
    rules: Path | None


@dataclass(slots=True)
class Selection:
    """What of a suite is run.

    Attributes:
        tests: the tests.
        names: of all tests that the files hold and that they don't disable.
        held: how many the files hold.
        left_out: how many are not run, by the reason.
    """

    tests: list[Test] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    held: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """See that every test that the files hold is either run or left out for a reason.

        Raises:
            SuiteError: if one is neither.
        """
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise SuiteError(f"several tests of the same name: {', '.join(twice)}")
        accounted = len(self.tests) + sum(self.left_out.values())
        if accounted != self.held:
            raise SuiteError(f"the files hold {self.held} tests, {accounted} are accounted for")


def find(corpora: Path | None, checkout: Path | None) -> list[Suite]:
    """Return the suites: the checkout if one is given, otherwise those that lie in a folder.

    Raises:
        SuiteError: if there are none, or if the rules of one are not to be had.
    """
    if checkout is not None:
        return [_suite(checkout)]
    if corpora is None:
        return []
    folders = sorted(path for path in corpora.glob("*") if (path / TESTS).is_dir())
    if not folders:
        raise SuiteError(f"no folder in {corpora} has {TESTS}")
    return [_suite(folder) for folder in reversed(folders)]


def select(suite: Suite, families: range, bodies: Iterable[str], only: str = "") -> Selection:
    """Read a suite's files and return what is run.

    Args:
        suite: the suite.
        families: of rules, by the first three digits of their ids.
        bodies: which kinds of body (`multipart`, `xml`) are run besides forms, JSON and the rest.
        only: the beginning of the names of the tests that are run, comma separated; empty for all.

    Raises:
        SuiteError: if a file can't be read, or if a test got lost.
    """
    chosen = Selection()
    wanted = tuple(filter(None, (word.strip() for word in only.split(","))))
    for path in _files(suite):
        try:
            file = read(path)
        except SchemaError as error:
            raise SuiteError(str(error)) from error
        chosen.held += len(file.tests) + file.disabled
        if file.disabled:
            chosen.left_out["disabled in its file"] += file.disabled
        for test in file.tests:
            chosen.names.append(test.name)
            reason = _reason(test, path, families, set(bodies), wanted)
            if reason is None:
                chosen.tests.append(test)
            else:
                chosen.left_out[reason] += 1
    chosen.check()
    return chosen


def _files(suite: Suite) -> Iterator[Path]:
    root = suite.root / TESTS
    return iter(sorted(path for path in root.rglob("*") if path.suffix in {".yaml", ".yml"}))


def _reason(test: Test, path: Path, families: range, bodies: set[str], only: tuple[str, ...]) -> str | None:
    """Return why a test is not run, None if it is."""
    named = _FAMILY.match(path.parent.name)
    family = int(named[1]) if named else test.rule // 1000
    if family not in families:
        return "another family of rules"
    if only and not test.name.startswith(only):
        return "not asked for"
    kinds = {body_kind(request(stage.input)) for stage in test.stages}
    for kind in ("multipart", "xml"):
        if kind in kinds - bodies:
            return f"a {kind} body"
    return None


def _suite(root: Path) -> Suite:
    if not (root / TESTS).is_dir():
        raise SuiteError(f"{root} is no checkout of the Core Rule Set: it has no {TESTS}")
    rules = root / "rules"
    if rules.is_dir():
        return Suite(_version(rules), root, root)
    # Only the tests: of a release that Debian packages.
    named = re.search(r"\d+\.\d+\.\d+", root.name)
    if named is None:
        raise SuiteError(f"{root} has no rules, and its name does not say for which release it is")
    if not DEBIAN_RULES.is_dir():
        raise SuiteError(f"{root} has no rules, and Debian's package modsecurity-crs is not installed")
    packaged = _version(DEBIAN_RULES)
    if packaged != named[0]:
        raise SuiteError(f"{root} has no rules, and those that Debian packages are {packaged}")
    return Suite(packaged, root, None)


def _version(rules: Path) -> str:
    for path in sorted(rules.glob("*.conf")):
        if found := _VERSION.search(path.read_text(encoding="utf-8")):
            return found[1]
    raise SuiteError(f"no rule in {rules} says of which release it is")
