"""What CI runs is what a person runs: targets of the Makefile, on a machine of the kind that is supported."""

import re
import subprocess
from typing import Any

from ruamel.yaml import YAML

from tests.support.dockerfile import ROOT

TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
WORKFLOW: Any = YAML(typ="safe").load(ROOT / ".github/workflows/ci.yml")
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_the_workflow_calls_targets_that_there_are() -> None:
    called = {target for step in STEPS for target in re.findall(r"\bmake ([a-z]+)\b", step.get("run", ""))}
    assert {"setup", "lint", "test", "load"} <= called
    assert called - {"python"} <= TARGETS


def test_the_workflow_may_only_read() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not [name for name, job in WORKFLOW["jobs"].items() if "permissions" in job]


def test_actions_are_pinned_and_leave_no_credentials_behind() -> None:
    used = [step for step in STEPS if "uses" in step]
    assert used
    for step in used:
        assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", step["uses"])
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_local_run_calls_targets_that_there_are() -> None:
    script = (ROOT / ".ci/run").read_text()
    called = set(" ".join(re.findall(r"targets\+?=\(([a-z ]+)\)", script)).split())
    assert called == {"setup", "lint", "test", "load", "conformance"}
    assert called - {"conformance"} <= TARGETS


def test_the_local_run_is_a_program() -> None:
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=True, timeout=30)
