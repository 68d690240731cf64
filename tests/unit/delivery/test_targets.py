"""What CI runs is what a person runs: targets of the Makefile, on a machine of the kind that is supported."""

import os
import re
import shutil
import subprocess
from pathlib import Path
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


def local_run(folder: Path, makefile: str, failing: str = "") -> tuple[int, list[str], str]:
    """Run .ci/run with a make that only writes down what it is asked for."""
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", folder / ".ci/run")
    (folder / "Makefile").write_text(makefile)
    make = folder / "make"
    make.write_text(
        f'#!/bin/sh\necho "$1 $SECONDS_OF_LOAD ${{CORPORA:-none}}" >>calls\ntest "$1" != "{failing}"\n'
    )
    make.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    environment.pop("CORPORA", None)
    done = subprocess.run(
        ["bash", folder / ".ci/run"],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, (folder / "calls").read_text().splitlines(), done.stdout


def test_the_local_run_passes_through_all_that_there_is(tmp_path: Path) -> None:
    corpora = tmp_path / "shared/corpora"
    corpora.mkdir(parents=True)
    code, calls, said = local_run(tmp_path / "checkout", (ROOT / "Makefile").read_text())
    called = [call.split()[0] for call in calls]
    assert code == 0
    assert set(called) - TARGETS == set()
    assert [target for target in called if target != "conformance"] == ["setup", "lint", "test", "load"]
    assert {call.split(maxsplit=1)[1] for call in calls} == {f"30 {corpora}"}
    assert said.count("done in") == len(called)


def test_the_local_run_names_no_corpora_where_there_are_none(tmp_path: Path) -> None:
    _, calls, _ = local_run(tmp_path / "checkout", "")
    assert {call.split(maxsplit=1)[1] for call in calls} == {"30 none"}


def test_the_local_run_takes_conformance_up_when_there_is_some(tmp_path: Path) -> None:
    _, calls, _ = local_run(tmp_path, "conformance: setup\n")
    assert [call.split()[0] for call in calls] == ["setup", "lint", "test", "conformance", "load"]


def test_the_local_run_ends_at_the_first_failure(tmp_path: Path) -> None:
    code, calls, _ = local_run(tmp_path, "", failing="lint")
    assert code != 0
    assert [call.split()[0] for call in calls] == ["setup", "lint"]
