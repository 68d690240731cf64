"""Every check of `make lint`: its name, and what runs it."""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from tests.lint import documents, nginx_configuration, vulnerabilities
from tests.lint.result import ROOT, Result, judge, run


class Check(NamedTuple):
    """A check; its name is what a person reads and may ask for."""

    name: str
    perform: Callable[[], Result]


def _tool(name: str, *command: str) -> Check:
    return Check(name, lambda: judge(run(command)))


def _over_files(name: str, patterns: tuple[str, ...], *command: str) -> Check:
    """A tool that takes the files to look at; a pattern that matches none of them is a failure."""

    def perform() -> Result:
        files: list[str] = []
        for pattern in patterns:
            matches = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))
            if not matches:
                return Result("failed", f"no file matches {pattern}, so nothing was checked")
            files += matches
        return judge(run([*command, *files]))

    return Check(name, perform)


PYTHON: Final = ("bartizan", "tokendealer", "upstream", "load")
LOCKS: Final = ("requirements/runtime.txt", "requirements/development.txt", "requirements/bench.txt")

CHECKS: Final = (
    _tool("ruff", "ruff", "check", "--quiet", "."),
    _tool("ruff format", "ruff", "format", "--check", "--quiet", "."),
    _tool("mypy", "mypy"),
    _tool("import-linter", "lint-imports", "--no-cache"),
    # What bandit thinks of little severity (an assert, any subprocess) ruff's S rules judge line by line.
    _tool(
        "bandit",
        *("bandit", "--quiet", "--configfile", "pyproject.toml", "--severity-level", "medium"),
        *("--recursive", *PYTHON),
    ),
    _tool("luacheck", "luacheck", "--quiet", "--no-color", "lua", "tests", "load"),
    Check("gixy", nginx_configuration.check),
    _tool("yamllint", "yamllint", "--strict", "."),
    Check("documents", documents.check),
    _over_files("hadolint", ("*/Dockerfile",), "hadolint"),
    _over_files(
        "compose schema",
        ("docker-compose.yml",),
        *("check-jsonschema", "--builtin-schema", "vendor.compose-spec"),
    ),
    _over_files(
        "workflow schema",
        (".github/workflows/*.yml",),
        *("check-jsonschema", "--builtin-schema", "vendor.github-workflows"),
    ),
    _over_files(
        "workflow time-outs",
        (".github/workflows/*.yml",),
        *("check-jsonschema", "--builtin-schema", "custom.github-workflows-require-timeout"),
    ),
    _over_files(
        "shellcheck", (".ci/run", "openresty/install-packages", "openresty/compose-certificate"), "shellcheck"
    ),
    *(Check(f"pip-audit {lock}", partial(vulnerabilities.pip_audit, lock)) for lock in LOCKS),
    *(Check(f"safety {lock}", partial(vulnerabilities.safety, lock)) for lock in LOCKS),
)
