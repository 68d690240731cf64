"""`make conformance`: the Core Rule Set's own tests, sent to a running gateway."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bartizan.errors import BartizanError
from tests.conformance import report
from tests.conformance.engines.engine import Engine
from tests.conformance.engines.gateway import GatewayEngine
from tests.conformance.engines.modsecurity import ModsecurityEngine
from tests.conformance.overrides import OverridesError
from tests.conformance.run import Ran, run
from tests.conformance.suites import Suite, SuiteError, find

ROOT: Final = Path(__file__).resolve().parents[2]
ENGINES: Final[dict[str, Callable[[Suite, int], Engine]]] = {
    "bartizan": GatewayEngine,
    "modsecurity": ModsecurityEngine,
}
NOT_RUN: Final = (
    "conformance: NOT RUN: there are no tests to run; set CORPORA to a folder with "
    "crs-*/tests/regression/tests in it, or CRS to a checkout of the Core Rule Set\n"
)


def main(words: list[str] | None = None) -> int:
    """Run and return the exit code: 0 if every failure is explained."""
    arguments = _arguments(words)
    try:
        suites = find(arguments.corpora, arguments.crs)
        if not suites:
            sys.stderr.write(NOT_RUN)
            return 0
        ran = [_run(suite, arguments) for suite in suites if arguments.suite in suite.root.name]
    except (
        SuiteError,
        OverridesError,
        BartizanError,
        AssertionError,
    ) as error:  # AssertionError: a Gateway's
        sys.stderr.write(f"conformance: {error}\n")
        return 2
    if not ran:
        sys.stderr.write(f"conformance: there is no suite {arguments.suite}\n")
        return 2
    path = report.write(arguments.reports, ran, arguments.engine)
    report.show(ran, path)
    return 0 if all(suite.good for suite in ran) else 1


def _run(suite: Suite, arguments: argparse.Namespace) -> Ran:
    sys.stderr.write(f"conformance: {arguments.engine} with CRS {suite.crs}\n")
    return asyncio.run(
        run(
            suite,
            ENGINES[arguments.engine],
            families=arguments.families,
            bodies=arguments.bodies,
            only=arguments.only,
        )
    )


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description="Run the Core Rule Set's own tests."
    )
    parser.add_argument("--corpora", type=_folder, default=_folder(os.environ.get("CORPORA", "")))
    parser.add_argument("--crs", type=_folder, default=_folder(os.environ.get("CRS", "")), help="a checkout")
    parser.add_argument("--suite", default="", help="of the folders in CORPORA only this one, such as 3.3.4")
    parser.add_argument("--families", type=_families, default=range(911, 950), help="such as 911-949")
    parser.add_argument(
        "--bodies", nargs="*", default=[], choices=("multipart", "xml"), help="tests with such bodies, too"
    )
    parser.add_argument("--only", default="", help="tests whose names begin so, such as 942100,942110-3")
    parser.add_argument("--engine", choices=sorted(ENGINES), default="bartizan", help="what is tested")
    parser.add_argument("--reports", type=Path, default=ROOT / "build" / "reports", help="where to write")
    return parser.parse_args(words)


def _folder(text: str) -> Path | None:
    return Path(text).resolve() if text else None


def _families(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        return range(int(first), int(last or first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError("write two numbers, such as 911-949") from None


if __name__ == "__main__":
    sys.exit(main())
