"""The images: made of what the native path is made of, unprivileged, of files and commands that exist."""

import fnmatch
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dockerfile import ROOT, Dockerfile

IMAGES = {name: Dockerfile(ROOT / name / "Dockerfile") for name in ("openresty", "tokendealer", "upstream")}
PACKAGES = dict(
    line.split()
    for line in (ROOT / "openresty/debian-packages.txt").read_text().splitlines()
    if not line.startswith("#")
)

each_image = pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last line that matches it or its folder decides."""
    parts = Path(path).parts
    above = ["/".join(parts[: length + 1]) for length in range(len(parts))]
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        candidates = [Path(item).name for item in above] if pattern.startswith("**/") else above
        if any(fnmatch.fnmatchcase(item, pattern.removeprefix("**/")) for item in candidates):
            verdict = not line.startswith("!")
    return verdict


@each_image
def test_what_is_copied_is_there_and_not_ignored(image: Dockerfile) -> None:
    stages = {name for name, _ in image.stages}
    copied = 0
    for copy in image.copies():
        if copy.stage is not None:
            assert copy.stage in stages
            continue
        for source in copy.sources:
            assert (ROOT / source).exists(), source
            assert not ignored(source), f"{source} is kept out by .dockerignore"
            copied += 1
    assert copied >= 9


@pytest.mark.parametrize(
    "path",
    [
        *("var/tls/server.key", "var/compose/key.pem", ".git/config", ".venv/bin/python", "build/x"),
        *(".env", "gateway.yaml", "requirements/development.txt", "tests/conftest.py"),
        *("bartizan/__pycache__/x.pyc", "upstream/Dockerfile"),
    ],
)
def test_nothing_else_reaches_a_build(path: str) -> None:
    assert ignored(path)


def test_every_group_of_packages_has_its_user() -> None:
    assert set(PACKAGES.values()) == {"edge", "python", "build", "test", "bench"}
    assert IMAGES["openresty"].needs() == {"edge", "python", "build"}
    assert IMAGES["tokendealer"].needs() == IMAGES["upstream"].needs() == {"python", "build"}


@each_image
def test_no_other_package_is_installed(image: Dockerfile) -> None:
    assert not [run for run in image.all("RUN") if "apt-get" in run or "apt " in run]
    installs = [run for run in image.all("RUN") if "pip install" in run]
    assert len(installs) == 2
    assert "--require-hashes -r /src/requirements/runtime.txt" in installs[0]
    assert "--no-deps --no-build-isolation /src" in installs[1]


def test_the_images_are_built_alike() -> None:
    """One wheel and one set of locked packages: only what is installed below and set up above differs."""
    builds = [dict(image.stages)["build"] for image in IMAGES.values()]
    assert builds[0] == builds[1] == builds[2]
    assert {image.all("FROM")[0] for image in IMAGES.values()} == {"debian:12-slim AS packages"}


@each_image
def test_the_image_runs_unprivileged_and_is_checked(image: Dockerfile) -> None:
    user, _, group = image.last("USER").partition(":")
    assert int(user) >= 10000
    assert user == group
    assert image.final[-1].word == "CMD"
    assert re.search(r"127\.0\.0\.1:(8081/readyz|5100/healthz|5200/healthz)", image.last("HEALTHCHECK"))


@each_image
def test_nothing_that_looks_like_a_secret_is_set(image: Dockerfile) -> None:
    names = [name for rest in image.all("ENV") for name in re.findall(r"(\w+)=", rest)]
    assert names
    assert not [name for name in names if re.search(r"SECRET|PASSWORD|PEPPER|KEY", name)]
    assert image.all("ARG") == []


@each_image
def test_the_commands_take_what_they_are_given(image: Dockerfile) -> None:
    for program, subcommand, *rest in image.command():
        shown = subprocess.run(
            [Path(sys.executable).parent / program, subcommand, "--help"],
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr
        options = [word for word in rest if word.startswith("--")]
        missing = [option for option in options if not re.search(rf"(?<!\S){option}(?!\S)", shown.stdout)]
        assert missing == [], f"{program} {subcommand} does not know {missing}"


def test_the_environment_names_what_the_token_service_reads() -> None:
    source = (ROOT / "tokendealer/cli.py").read_text()
    names = re.findall(r"(TOKENDEALER_\w+)=", IMAGES["tokendealer"].last("ENV"))
    assert len(names) == 3
    assert [name for name in names if f'"{name}"' not in source] == []
